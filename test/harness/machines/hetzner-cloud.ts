import { pino } from 'pino'
import type { Cloud } from '../../../scheduler/cloud/cloud.ts'
import { createHetzner } from '../../../scheduler/cloud/hetzner.ts'
import { hetznerConfig } from '../../../scheduler/cloud/hetzner-config.ts'

/** The client of Hetzner as a scheduler that starts now has it: one type, three places. */
export function createHetznerCloud(url: string, token: string): Cloud {
  const config = hetznerConfig({
    RGRID_HCLOUD_URL: url,
    RGRID_HCLOUD_TOKEN: token,
    RGRID_HCLOUD_TYPES: 'cx23',
    RGRID_HCLOUD_LOCATIONS: 'fsn1,nbg1,hel1',
    RGRID_HCLOUD_IMAGE: 'debian-13',
    RGRID_HCLOUD_SSH_KEYS: '',
    RGRID_HCLOUD_IPV4: true,
    RGRID_HCLOUD_SPREAD: false,
    RGRID_HCLOUD_SECONDS: 30,
  })
  return createHetzner(config, { installation: 'test', log: pino({ level: 'silent' }) })
}
