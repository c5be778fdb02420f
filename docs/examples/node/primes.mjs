// Finds the primes up to a limit, prints how many there are and writes them to primes.json.
//   rgrid run docs/examples/node/primes.mjs 1000
import { writeFileSync } from 'node:fs'

const limit = Number(process.argv[2] ?? 100)
if (!Number.isInteger(limit) || limit < 2) {
  console.error('usage: primes.mjs LIMIT')
  process.exit(2)
}

const composite = new Uint8Array(limit + 1)
const primes = []
for (let number = 2; number <= limit; number++) {
  if (composite[number]) continue
  primes.push(number)
  for (let multiple = number * number; multiple <= limit; multiple += number) composite[multiple] = 1
}

writeFileSync('primes.json', `${JSON.stringify(primes)}\n`)
console.log(`${primes.length} primes up to ${limit}, the largest is ${primes.at(-1)}`)
