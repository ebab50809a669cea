import { describe, expect, it } from 'vitest'
import { listen } from '../../src/net/websocket-server.node.js'
import { Helper } from '../../src/party/helper/helper.js'
import { partiesFor } from '../browser/site.js'
import { ringfence } from './program.js'

interface Finding {
  about: string
  state: string
  says: string
}
const findings = (stdout: string): Finding[] => JSON.parse(stdout).findings
const about = (list: Finding[], what: string) => list.find((finding) => finding.about === what)!

describe('doctor', () => {
  it('finds this host fit, every finding in a sentence', async () => {
    const { status, stdout } = await ringfence('doctor', '--json')
    expect(status).toBe(0)
    const list = findings(stdout)
    expect(list.map((finding) => finding.about)).toEqual(
      'host clock WebAssembly randomness WebSocket threads worker'.split(' '),
    )
    for (const { state, says } of list) expect([state, says]).toEqual(['ok', expect.stringMatching(/\.$/)])
    const text = (await ringfence('doctor')).stdout
    for (const { says } of list.filter((finding) => finding.about !== 'clock')) expect(text).toContain(says)
  })

  it('reaches both parties and tries a handshake', async () => {
    const parties = await partiesFor('mnist-cnn3')
    const { status, stdout } = await ringfence(
      'doctor',
      '--json',
      '--server',
      parties.server.url,
      '--helper',
      parties.helper.url,
    )
    await parties.close()
    expect(status).toBe(0)
    expect(about(findings(stdout), 'session').says).toContain('mnist-cnn3 on mcc')
  })

  it('says which party does not answer, and fails', async () => {
    const helper = await Helper.create()
    const at = await listen({ host: '127.0.0.1', port: 0, onConnection: (channel) => void helper.run(channel) })
    const { status, stdout } = await ringfence('doctor', '--json', '--server', 'ws://127.0.0.1:9', '--helper', at.url)
    await helper.release()
    await at.close()
    expect(status).toBe(1)
    const list = findings(stdout)
    expect(about(list, 'server')).toMatchObject({ state: 'failed', says: expect.stringContaining('127.0.0.1:9') })
    expect(about(list, 'helper').state).toBe('ok')
    expect(about(list, 'session')).toBeUndefined()
  })

  it('says that addresses are swapped', async () => {
    const parties = await partiesFor('mnist-cnn3')
    const swapped = ['--server', parties.helper.url, '--helper', parties.server.url]
    const { status, stdout } = await ringfence('doctor', '--json', ...swapped)
    await parties.close()
    expect(status).toBe(1)
    expect(about(findings(stdout), 'session').says).toContain("expected a server at the server's address")
  })

  it('says when server and helper belong to different sessions of trust', async () => {
    const [one, other] = [await partiesFor('mnist-cnn3'), await partiesFor('mnist-cnn3')]
    const { status, stdout } = await ringfence(
      'doctor',
      '--json',
      '--server',
      one.server.url,
      '--helper',
      other.helper.url,
    )
    await one.close()
    await other.close()
    expect(status).toBe(1)
    expect(about(findings(stdout), 'session').state).toBe('failed')
  })
})
