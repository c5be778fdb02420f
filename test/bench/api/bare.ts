import fastify from 'fastify'
import pg from 'pg'
import { newId } from '#core/ids.ts'

/** The least that a submit can be: a Fastify route that does one INSERT. Prints its address when it listens. */
const pool = new pg.Pool({ connectionString: process.env.BARE_DATABASE_URL, max: 20 })
const app = fastify()
app.post('/jobs', async (request, reply) => {
  const id = newId('job')
  await pool.query({ name: 'insert', text: 'insert into bare_jobs (id, spec) values ($1, $2)', values: [id, JSON.stringify(request.body)] })
  return reply.code(201).send({ id })
})
console.log(await app.listen({ host: '127.0.0.1', port: 0 }))
