// A helper on whatever host runs this, with as many threads that deal as it is told. Prints its address.
import { Helper } from '../../dist/helper.js'
import { listen, startDealers } from '../../dist/node.js'

const [threads] = globalThis.Deno ? Deno.args : process.argv.slice(2)
const dealers = threads && (await startDealers(Number(threads)))
const helper = await Helper.create(dealers ? { dealers } : {})
const { url } = await listen({ host: '127.0.0.1', port: 0, onConnection: (channel) => void helper.run(channel) })
console.log(JSON.stringify({ url, threads: dealers?.threads }))
