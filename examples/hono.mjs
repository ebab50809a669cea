// A server beside the routes of a Hono application: node examples/hono.mjs PORT HELPER_URL MODEL
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { listen, loadModelDirectory } from 'ringfence/node'
import { compile, connect, Server } from 'ringfence/server'

const [port = '8080', helper = 'ws://127.0.0.1:7701', folder = 'models/mnist-cnn3'] = process.argv.slice(2)
const { arch, weights, calibration, spec } = await loadModelDirectory(folder)
const server = await Server.create(compile(arch, weights, calibration, spec), () => connect(helper))

const app = new Hono()
app.get('/health', (context) => context.json({ model: arch.name }))

// Upgrades of /model are the party's, everything else stays the application's. Who may connect: `authorize` of `listen`.
const http = createServer(getRequestListener(app.fetch))
const party = await listen({
  server: http,
  path: '/model',
  onConnection: (channel, peer) => server.run(channel, peer),
})
http.listen(Number(port), '127.0.0.1', () => console.log(`server at ${party.url}`))

process.once('SIGTERM', async () => {
  await party.close()
  await server.release()
  http.close(() => process.exit(0))
})
