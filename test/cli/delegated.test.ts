// Helper, delegate and server as services, and an owner of a picture: the commands of docs/delegated.md.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../fixtures/free-port.js'
import { type Running, ringfence, root, startRingfence } from './program.js'

const PICTURE = `${root}models/samples/digit-7.png`
const running: Running[] = []
const start = (...args: string[]) => {
  const party = startRingfence(...args)
  running.push(party)
  return party
}

describe('ringfence delegate', () => {
  let helper: string
  let delegate: string
  let server: string
  let key: string
  let delegateParty: Running

  beforeAll(async () => {
    helper = await start('helper', '--listen', '0').says(/ws:\/\/\S+/)
    server = `ws://127.0.0.1:${await freePort()}`
    const common = ['--parallel', '1', '--low', '1', '--high', '1', '--listen', '0']
    delegateParty = start('delegate', '--server', server, '--helper', helper, ...common)
    key = (await delegateParty.says(/public key [0-9a-f]{64}/)).slice(-64)
    // It waits for a server that is not there yet.
    await delegateParty.says(/PEER_GONE/)
    const at = ['--helper', helper, '--listen', server.slice(5), '--delegate', key]
    await start('serve', '--model', 'mnist-cnn3', ...at).says(/plan digest/)
    delegate = await delegateParty.says(/http:\/\/\S+/)
  }, 120_000)
  afterAll(() => Promise.all(running.splice(0).map((party) => party.stop('SIGKILL'))))

  it('answers an owner of a picture', async () => {
    const args = ['--delegate', delegate, '--delegate-key', key, '--server', server, PICTURE, '--json']
    const { status, stdout } = await ringfence('infer', ...args)
    expect(JSON.parse(stdout)).toMatchObject({
      delegate: true,
      images: [{ label: '7' }],
      online: { flights: 2, bytesUp: 49 + 1568 + 161, bytesDown: 40, clientToHelper: 0 },
      offline: { clientUp: 0, clientDown: 0 },
    })
    expect(status).toBe(0)
  })

  it('answers those who watch it as server and helper do', async () => {
    const ask = async (path: string) => (await (await fetch(delegate + path)).text()).trim()
    expect([await ask('/healthz'), await ask('/readyz')]).toEqual(['ok', 'ready'])
    const figures = await ask('/metrics')
    expect(figures).toMatch(/^ringfence_connections 1$/m)
    expect(figures).toMatch(/^ringfence_inferences_total\{.*result="answered"\} 1$/m)
    expect(figures).toMatch(/^ringfence_link_bytes_total\{link="server and helper",direction="sent"\} [1-9]/m)
  })

  it('keeps ordinary clients out, and says why', async () => {
    const { status, stderr } = await ringfence('infer', '--server', server, '--helper', helper, PICTURE)
    expect(status).toBe(1)
    expect(stderr).toMatch(/through its delegate alone/)
  })

  it('is no server', async () => {
    const { status, stderr } = await ringfence(
      'infer',
      '--server',
      `ws${delegate.slice(4)}`,
      '--helper',
      helper,
      PICTURE,
    )
    expect(status).toBe(1)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(/error WRONG_PARTY expected a server at the server's address/)
  })

  it('says what is wrong with an order', async () => {
    const wrong = await ringfence('infer', '--delegate', delegate, '--helper', helper, '--server', server, PICTURE)
    expect(wrong.stderr).toMatch(/--delegate-key is missing/)
    expect(wrong.stderr).toMatch(/--helper: the delegate talks to the helper/)
    const backend = ['--model', 'mnist-cnn3', '--backend', 'securenn', '--helper', helper, '--delegate', key]
    expect((await ringfence('serve', ...backend)).stderr).toMatch(/only mcc can be delegated/)
  })

  it('ends when it is told to', async () => {
    expect(await delegateParty.stop('SIGTERM')).toBe(0)
  })
})
