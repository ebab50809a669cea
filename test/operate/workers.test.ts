// Helper and server on several cores: one port, one log, one end; who is killed comes back, and the others serve meanwhile.
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { afterEach, expect, it } from 'vitest'
import { decodeImage, pictureToInput } from '../../src/index.js'
import { Client } from '../../src/party/client/client.js'
import { type Running, ringfence, root, startRingfence } from '../cli/program.js'

const running: Running[] = []
const start = (...args: string[]) => {
  const party = startRingfence(...args, '--listen', '0', '--log', 'json')
  running.push(party)
  return party
}
afterEach(async () => {
  await Promise.all(running.splice(0).map((party) => party.stop('SIGKILL')))
})
const serve = (helper: string, ...args: string[]) =>
  start('serve', '--model', 'mnist-cnn3', '--helper', helper, '--workers', '2', ...args)

it.skipIf(process.platform === 'win32')(
  'each process serves; one that is killed is started again (pgrep: not on Windows)',
  async () => {
    const dealer = start('helper', '--workers', '2')
    const { url: helper } = JSON.parse(await dealer.says(/.*"event":"ready".*/))
    const server = serve(helper, '--metrics-listen', '127.0.0.1:0')
    const { url, metrics, processes } = JSON.parse(await server.says(/.*"event":"ready".*/))
    expect(processes).toBe('2')
    const picture = decodeImage(await readFile(`${root}models/samples/digit-7.png`))
    const join = () => Client.create({ server: url, helper })
    const classify = async (client: Client) => (await client.run(pictureToInput(picture, client.plan.input))).prediction

    const clients: Client[] = []
    for (let i = 0; i < 4; i++) clients.push(await join())
    expect(await Promise.all(clients.map(classify))).toEqual([7, 7, 7, 7])
    await Promise.all(clients.map((client) => client.release()))
    const by = (number: number) => server.stdout.match(new RegExp(`"inference","process":${number},`, 'g'))?.length ?? 0
    await server.says(/("event":"inference"[\s\S]*){4}/)
    expect(by(1) + by(2)).toBe(4)
    expect(Math.min(by(1), by(2))).toBeGreaterThan(0)
    const figures = await (await fetch(metrics)).text()
    expect(figures).toMatch(/ringfence_inferences_total\{model="mnist-cnn3",result="answered"\} 4/)
    expect(figures).toMatch(/ringfence_helper_up\{model="mnist-cnn3"\} 1\n/)
    // What one process could tell of itself would be no figure of the service.
    expect((await fetch(`${url.replace('ws:', 'http:')}/metrics`)).status).toBe(426)

    const [first] = execFileSync('pgrep', ['-P', String(server.pid)], { encoding: 'utf8' }).split('\n')
    process.kill(Number(first), 'SIGKILL')
    await server.says(/"event":"ended"/)
    const meanwhile = await join()
    expect(await classify(meanwhile)).toBe(7)
    await server.says(/"event":"ended"[\s\S]*"event":"helper"[^\n]*"up":true/)
    await meanwhile.release()

    expect(await server.stop('SIGTERM')).toBe(0)
    expect(server.stdout.match(/"event":"draining"/g)).toHaveLength(2)
    expect(server.stdout.match(/"event":"ready"/g)).toHaveLength(1)
    expect(await dealer.stop('SIGTERM')).toBe(0)
  },
)

it('what is wrong is said once, and nothing stays behind', async () => {
  const { url } = JSON.parse(await start('helper').says(/.*"event":"ready".*/))
  const port = /:(\d+)$/.exec(url)![1]
  const args = ['serve', '--model', 'mnist-cnn3', '--helper', url, '--workers', '3', '--listen', port]
  const { status, stderr } = await ringfence(...args)
  expect(stderr.match(/error HOST/g)).toHaveLength(1)
  expect(stderr).toContain('EADDRINUSE')
  expect(status).toBe(1)
  const delegated = await ringfence(...args, '--delegate', 'ab'.repeat(32))
  expect(delegated.stderr).toContain('have to meet in one process')
  expect(delegated.status).toBe(1)
})
