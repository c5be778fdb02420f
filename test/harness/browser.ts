/** Where a browser ended up. */
export interface Page {
  url: string
  status: number
  text: string
}

const MAX_STEPS = 30

/**
 * Does what a person does who signs in: follows redirects, keeps cookies, and sends each form that it finds, with `typed` in
 * the fields of that name, until a page has no form. With `cancel` it follows the page's way out instead.
 */
export async function browse(address: string, typed: Readonly<Record<string, string>>, cancel = false): Promise<Page> {
  const jars = new Map<string, Map<string, string>>()
  let request: { url: URL; body?: URLSearchParams } = { url: new URL(address) }
  for (let step = 0; step < MAX_STEPS; step++) {
    const { url, body } = request
    const jar = jars.get(url.origin) ?? new Map<string, string>()
    jars.set(url.origin, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { redirect: 'manual', headers: { cookie }, ...(body ? { method: 'POST', body } : {}) })
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s)
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    const text = await response.text()
    const location = response.headers.get('location')
    const next = location === null ? ((cancel ? wayOut(text, url) : undefined) ?? formOf(text, url, typed)) : { url: new URL(location, url) }
    if (!next) return { url: url.href, status: response.status, text }
    request = next
  }
  throw new Error(`no end after ${MAX_STEPS} pages`)
}

function formOf(html: string, base: URL, typed: Readonly<Record<string, string>>): { url: URL; body: URLSearchParams } | undefined {
  const form = /<form([^>]*)>([\s\S]*?)<\/form>/.exec(html)
  if (!form) return undefined
  const body = new URLSearchParams()
  for (const [, fields = ''] of (form[2] ?? '').matchAll(/<input([^>]*)>/g)) {
    const name = attribute(fields, 'name')
    if (name !== undefined) body.set(name, typed[name] ?? attribute(fields, 'value') ?? '')
  }
  return { url: new URL(attribute(form[1] ?? '', 'action') ?? '', base), body }
}

function wayOut(html: string, base: URL): { url: URL } | undefined {
  const href = /<a href="([^"]*\/abort)"/.exec(html)?.[1]
  return href === undefined ? undefined : { url: new URL(decode(href), base) }
}

function attribute(fields: string, name: string): string | undefined {
  const value = new RegExp(`\\b${name}="([^"]*)"`).exec(fields)?.[1]
  return value === undefined ? undefined : decode(value)
}

function decode(text: string): string {
  return text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}
