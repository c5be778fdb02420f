import type { RequestListener } from 'node:http'
import type { Fault } from './faults.ts'
import type { HetznerStandIn } from './stand-in.ts'

/**
 * What a process in another place may ask of a stand-in, outside of the API: `POST /faults` (a list of them), `DELETE /faults`,
 * `GET /bill`, `GET /calls`, `POST /availability` (`{"serverType", "location", "available"}`).
 */
export function controlListener(standIn: HetznerStandIn): RequestListener {
  const routes: Readonly<Record<string, (body: unknown) => unknown>> = {
    'POST /faults': (body) => standIn.faults.add(...(body as Fault[])),
    'DELETE /faults': () => standIn.faults.clear(),
    'GET /calls': () => standIn.calls,
    'GET /bill': () => {
      const { bill } = standIn.world
      return { totalMicrons: bill.totalMicrons(), charges: bill.charges.map((charge) => ({ ...charge, hours: bill.hours(charge) })) }
    },
    'POST /availability': (body) => {
      const { serverType, location, available } = body as { serverType: string; location: string; available: boolean }
      const place = standIn.world.types.find(({ name }) => name === serverType)?.places.get(location)
      if (place) place.available = available
    },
  }
  return async (request, response) => {
    const answer = (status: number, body: unknown) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}))
    try {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const route = routes[`${request.method} ${request.url}`]
      if (!route) return void answer(404, { routes: Object.keys(routes) })
      const text = Buffer.concat(chunks).toString('utf8')
      answer(200, route(text === '' ? undefined : JSON.parse(text)))
    } catch (error) {
      answer(400, { error: String(error) })
    }
  }
}
