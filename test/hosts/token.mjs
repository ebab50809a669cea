// A client with a token, on whatever host runs this. Arguments: server, helper, token. Prints its logits, or why it has none.
import { Client } from '../../dist/index.js'

const [server, helper, token] = globalThis.Deno ? Deno.args : process.argv.slice(2)
try {
  const client = await Client.create({ server, helper, token })
  const size = client.plan.input.shape.reduce((a, b) => a * b)
  const { logits } = await client.run(Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7)))
  console.log(JSON.stringify({ logits: [...logits] }))
  await client.release()
} catch (error) {
  console.log(JSON.stringify({ code: error.code }))
}
globalThis.Deno ? Deno.exit(0) : process.exit(0)
