// The server holds the weights; pictures and answers stay with its clients.
import { listen, loadModelDirectory } from 'ringfence/node'
import { compile, connect, Server } from 'ringfence/server'

const [port = '7702', helper = 'ws://127.0.0.1:7701', folder = 'models/mnist-cnn3'] = process.argv.slice(2)
const { arch, weights, calibration, spec } = await loadModelDirectory(folder)
const server = await Server.create(compile(arch, weights, calibration, spec), () => connect(helper))
const { url } = await listen({ port: Number(port), onConnection: (channel) => server.run(channel) })
console.log(`server at ${url}`)
