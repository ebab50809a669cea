import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { connect, type WebSocketLike } from '../../src/net/index.js'
import { selfSigned } from '../net/certificate.js'
import { type Running, ringfence, root, startRingfence } from './program.js'

let folder: string
let tls: string[]
const running: Running[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringfence-'))
  const { cert, key } = selfSigned()
  await writeFile(join(folder, 'cert.pem'), cert)
  await writeFile(join(folder, 'key.pem'), key)
  tls = ['--cert', join(folder, 'cert.pem'), '--key', join(folder, 'key.pem')]
})
afterAll(async () => {
  await Promise.all(running.map((party) => party.stop()))
  await rm(folder, { recursive: true })
})

/** `infer` on a machine that trusts the certificate. */
function inferTrusting(args: string[]): Promise<string> {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') }
  const command = [join(root, 'dist/cli.js'), 'infer', ...args]
  return new Promise((resolve) => {
    execFile(process.execPath, command, { env, cwd: root, timeout: 250_000 }, (_, out, err) => resolve(out + err))
  })
}

describe('helper and server behind TLS', () => {
  it('serve a client that trusts their certificate, and no other', async () => {
    // The server reaches a helper of its own machine in plain text; what this proves is the way from client to server.
    const helper = startRingfence('helper', '--listen', '0')
    running.push(helper)
    const helperUrl = await helper.says(/ws:\/\/\S+/)
    const address = ['--listen', '127.0.0.1:0', ...tls]
    const server = startRingfence('serve', '--model', 'mnist-cnn3', '--helper', helperUrl, ...address)
    running.push(server)
    const args = ['--server', await server.says(/wss:\/\/\S+/), '--helper', helperUrl, 'models/samples/digit-5.png']
    expect(await inferTrusting(args)).toMatch(/digit-5\.png +5 /)
    const { status, stderr } = await ringfence('infer', ...args)
    expect(stderr).toContain('error INSECURE')
    expect(stderr).toContain('certificate')
    expect(status).toBe(1)
  })

  it('take another certificate on SIGHUP, and keep the one they have when the new one is none', async () => {
    const [cert, key] = ['renewed.pem', 'renewed.key'].map((file) => join(folder, file))
    const write = async (identity: { cert: string; key: string }) => {
      await writeFile(cert, identity.cert)
      await writeFile(key, identity.key)
    }
    const trusting = (ca: string) => (url: string) => new WebSocket(url, { ca }) as unknown as WebSocketLike
    const [first, second] = [selfSigned(), selfSigned()]
    await write(first)
    const helper = startRingfence('helper', '--listen', '0', '--cert', cert, '--key', key, '--log', 'json')
    running.push(helper)
    const { url } = JSON.parse(await helper.says(/.*"event":"ready".*/))
    const early = await connect(url, { open: trusting(first.cert) })
    await write(second)
    helper.signal('SIGHUP')
    await helper.says(/"event":"reloaded","what":"the certificate"/)
    await write({ cert: first.cert, key: second.key })
    helper.signal('SIGHUP')
    await helper.says(/"event":"reload failed","what":"the certificate"/)
    const late = await connect(url, { open: trusting(second.cert) })
    const refused = connect(url, { open: trusting(first.cert) })
    expect(await refused.catch((error) => error.code)).toBe('INSECURE')
    early.close()
    late.close()
  })

  it('refuse certificate files that are not there', async () => {
    const { status, stderr } = await ringfence('helper', '--cert', 'no.pem', '--key', 'no.pem')
    expect(stderr).toContain('error BAD_FILE')
    expect(stderr).toContain('expected a PEM file, but no.pem: there is no such file')
    expect(status).toBe(1)
  })

  it('refuse PEM files that hold no certificate', async () => {
    const wrong = join(folder, 'wrong.pem')
    await writeFile(wrong, 'not a certificate')
    const { status, stderr } = await ringfence('helper', '--listen', '0', '--cert', wrong, '--key', wrong)
    expect(stderr).toContain('error BAD_FILE')
    expect(stderr).not.toContain('not a certificate')
    expect(status).toBe(1)
  })
})
