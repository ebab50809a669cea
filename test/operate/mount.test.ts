// A party beside the routes of a server that is there already: Node's http, Express, Fastify, Hono.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { connect } from '../../src/net/index.js'
import { listen } from '../../src/net/websocket-server.node.js'

const makers: Record<string, () => Promise<Server>> = {
  http: async () => createServer((_, response) => response.end('hello')),
  express: async () => createServer(express().get('/', (_, response) => void response.send('hello'))),
  fastify: async () => {
    const app = fastify()
    app.get('/', () => 'hello')
    await app.ready()
    return app.server
  },
  hono: async () => createAdaptorServer(new Hono().get('/', (context) => context.text('hello'))) as Server,
}

test.each(Object.keys(makers))('%s', async (name) => {
  const server = await makers[name]()
  const paths = ['/model', '/helper']
  const listeners = await Promise.all(
    paths.map((path) =>
      listen({
        server,
        path,
        onConnection: (channel) => {
          channel.send(new TextEncoder().encode(path))
        },
      }),
    ),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  expect(listeners.map(({ url }) => url)).toEqual(paths.map((path) => `ws://127.0.0.1:${port}${path}`))
  for (const { url } of listeners) {
    const channel = await connect(url)
    expect(url.endsWith(new TextDecoder().decode(await channel.receive({ deadlineMs: 60_000 })))).toBe(true)
    channel.close()
  }
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello')
  await listeners[0].close()
  await expect(connect(`ws://127.0.0.1:${port}/helper`).then((channel) => channel.receive())).resolves.toBeDefined()
  await listeners[1].close()
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello')
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
