import { once } from 'node:events'
import { FLOODS, type FloodName, send } from './floods.ts'

// A process of its own, so that what floods the gateway does not keep its bench from measuring: told by its first message what to
// send, and by the next to end.
const [{ url, key, name, connections }] = (await once(process, 'message')) as [{ url: string; key: string; name: FloodName; connections: number }]
const end = send({ url, key }, FLOODS[name], connections)
await once(process, 'message')
const answers = await end()
process.send?.(Object.fromEntries(answers))
process.disconnect()
