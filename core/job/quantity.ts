/** Kubernetes quantities (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/), the part that jobs need. */

const MEMORY_FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

/** `"512Mi"`, `"2Gi"`, `"1.5G"` or a number of bytes → whole bytes; undefined when it is no such quantity. */
export function parseBytes(value: string | number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(k|M|G|T|Ki|Mi|Gi|Ti)?$/.exec(String(value))
  if (!match) return undefined
  const bytes = Math.floor(Number(match[1]) * (MEMORY_FACTORS[match[2] ?? ''] ?? Number.NaN))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** `"1"`, `"0.5"`, `"500m"` or a number of CPUs → whole thousandths of a CPU; undefined when it is no such quantity. */
export function parseCpuMillis(value: string | number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(String(value))
  if (!match) return undefined
  const millis = Math.round(Number(match[1]) * (match[2] === 'm' ? 1 : 1000))
  return Number.isSafeInteger(millis) ? millis : undefined
}

/** Bytes for people: `512 MiB`, `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`
}
