import type { WebhookWithSecret } from '#core/webhook-api.ts'
import type { Client } from './client.ts'
import type { Stack } from './stack.ts'

/** Has everything that webhooks can tell sent to the receiver, which now and then fails or hangs up. */
export async function listenForWebhooks({ receiver }: Stack, client: Client): Promise<void> {
  const response = await client.post('/v1/projects/default/webhooks', { url: receiver.url('/chaos') })
  const { secret } = (await response.json()) as WebhookWithSecret
  receiver.expect('/chaos', [secret], (answer, nth, request) => {
    if (nth % 31 === 0) request.socket.destroy()
    else answer.writeHead(nth % 20 === 0 ? 500 : 204).end()
  })
}
