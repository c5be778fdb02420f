import type { WebhookWithSecret } from '#core/webhook-api.ts'
import type { Client } from './client.ts'
import type { Stack } from './stack.ts'

/**
 * Has everything that webhooks can tell sent to the receiver, which now and then fails or hangs up; never twice for one message, as that
 * would come again after five minutes only, and the run would wait for it.
 */
export async function listenForWebhooks({ receiver }: Stack, client: Client): Promise<void> {
  const response = await client.post('/v1/projects/default/webhooks', { url: receiver.url('/chaos') })
  const { secret } = (await response.json()) as WebhookWithSecret
  const failed = new Set<unknown>()
  receiver.expect('/chaos', [secret], (answer, nth, request) => {
    const fails = (nth % 31 === 0 || nth % 20 === 0) && !failed.has(request.headers['webhook-id'])
    if (fails) failed.add(request.headers['webhook-id'])
    if (fails && nth % 31 === 0) request.socket.destroy()
    else answer.writeHead(fails ? 500 : 204).end()
  })
}
