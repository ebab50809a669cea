// A server on whatever host runs this. Arguments: helper, back end. Prints its address, then every session's seed.
import { connect } from '../../dist/index.js'
import { findModel, listen, loadModelDirectory } from '../../dist/node.js'
import { compile } from '../../dist/plan.js'
import { Server } from '../../dist/server.js'
import { AUDIT } from '../../dist/testing.js'

const [helper, backend] = globalThis.Deno ? Deno.args : process.argv.slice(2)
const { arch, weights, calibration, spec } = await loadModelDirectory(findModel('mnist-cnn3'))
const compiled = compile(arch, weights, calibration, spec, { backend })
const server = await Server.create(compiled, () => connect(helper), {
  [AUDIT]: ({ session, seed }) => console.log(JSON.stringify({ session: [...session], sh: [...seed] })),
})
const { url } = await listen({ host: '127.0.0.1', port: 0, onConnection: (channel) => void server.run(channel) })
console.log(JSON.stringify({ url }))
