import { readFile } from 'node:fs/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { Running, root } from './program.js'

const example = (name: string, ...args: string[]) => new Running(`${root}examples/node-${name}.mjs`, ...args)

describe('the examples', () => {
  const running: Running[] = []
  afterAll(() => Promise.all(running.map((party) => party.stop('SIGTERM'))))

  it('work with one another', async () => {
    const helper = example('helper', '0')
    running.push(helper)
    const helperUrl = await helper.says(/ws:\/\/\S+/)
    const server = example('server', '0', helperUrl)
    running.push(server)
    const serverUrl = await server.says(/ws:\/\/\S+/)
    const client = example('client', 'models/samples/digit-4.png', serverUrl, helperUrl)
    expect(await client.ended(), client.stderr).toBe(0)
    expect(client.stdout).toMatch(/digit-4\.png: 4, in \d+\.\d ms/)
  })

  it.each(['express', 'hono'])(
    '%s.mjs serves beside the routes of its application, and ends when told',
    async (name) => {
      const helper = example('helper', '0')
      running.push(helper)
      const helperUrl = await helper.says(/ws:\/\/\S+/)
      const application = new Running(`${root}examples/${name}.mjs`, '0', helperUrl)
      const serverUrl = await application.says(/ws:\/\/\S+/)
      const client = example('client', 'models/samples/digit-4.png', serverUrl, helperUrl)
      expect(await client.ended(), client.stderr).toBe(0)
      expect(client.stdout).toContain('digit-4.png: 4')
      const health = await fetch(serverUrl.replace('ws:', 'http:').replace('/model', '/health'))
      expect(await health.json()).toEqual({ model: 'mnist-cnn3' })
      expect(await application.stop('SIGTERM')).toBe(0)
    },
  )

  it.each(['helper', 'server', 'client'])('node-%s.mjs has at most 15 lines', async (name) => {
    const lines = (await readFile(`${root}examples/node-${name}.mjs`, 'utf8')).trimEnd().split('\n')
    expect(lines.length).toBeLessThanOrEqual(15)
  })
})
