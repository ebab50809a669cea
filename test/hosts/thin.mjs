// An owner of an input on whatever host runs this. Arguments: server, delegate, the delegate's key in hex, the input as JSON.
import { ThinClient } from '../../dist/thin.js'

const [server, delegate, key, input] = globalThis.Deno ? Deno.args : process.argv.slice(2)
const delegateKey = Uint8Array.from(key.match(/../g), (byte) => Number.parseInt(byte, 16))
const client = await ThinClient.create({ server, delegate, delegateKey })
const { raw } = await client.run(Float32Array.from(JSON.parse(input)))
console.log(JSON.stringify({ raw: [...raw] }))
