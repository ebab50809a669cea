// A client on whatever host runs this: one inference, and what a judge needs to rerun it. Arguments: server, helper.
import { Client } from '../../dist/index.js'
import { AUDIT } from '../../dist/testing.js'

const [server, helper] = globalThis.Deno ? Deno.args : process.argv.slice(2)
const revealed = {}
const client = await Client.create({
  server,
  helper,
  [AUDIT]: ({ session, seed, model }) =>
    Object.assign(revealed, { session: [...session], ch: [...seed], model: [...model] }),
})
const size = client.plan.input.shape.reduce((a, b) => a * b)
const { raw, inference } = await client.run(Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7)))
console.log(JSON.stringify({ raw: [...raw], inference, ...revealed }))
await client.release()
globalThis.Deno ? Deno.exit(0) : process.exit(0)
