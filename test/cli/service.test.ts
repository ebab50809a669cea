// Helper and server as services: who may connect, what comes back by itself, how they end, what they show.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { decodeImage, pictureToInput } from '../../src/index.js'
import { Client } from '../../src/party/client/client.js'
import { freePort } from '../fixtures/free-port.js'
import { type Running, ringfence, root, startRingfence } from './program.js'

const PICTURE = `${root}models/samples/digit-7.png`
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const digits = (url: string) => Number(/:(\d+)/.exec(url.replace('ws://', ''))![1])

let folder: string
const running: Running[] = []
const start = (...args: string[]) => {
  const party = startRingfence(...args)
  running.push(party)
  return party
}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringfence-'))
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((party) => party.stop('SIGKILL')))
})
afterAll(() => rm(folder, { recursive: true }))

const helperAt = async (...args: string[]) => {
  const helper = start('helper', '--listen', '0', ...args)
  return { helper, url: await helper.says(/ws:\/\/\S+/) }
}
const serverAt = async (helper: string, ...args: string[]) => {
  const server = start('serve', '--model', 'mnist-cnn3', '--helper', helper, '--listen', '0', ...args)
  return { server, url: await server.says(/ws:\/\/[^\s"]+/) }
}
const classify = async (client: Client) => {
  const input = pictureToInput(decodeImage(await readFile(PICTURE)), client.plan.input)
  return (await client.run(input)).prediction
}
const page = async (url: string, path: string) => {
  const response = await fetch(url.replace('ws:', 'http:') + path)
  return { status: response.status, text: await response.text() }
}
describe('a server', () => {
  it('starts without its helper, waits for it, and comes back to it when it was away', async () => {
    const port = await freePort()
    const server = start(
      'serve',
      '--model',
      'mnist-cnn3',
      '--helper',
      `ws://127.0.0.1:${port}`,
      '--listen',
      '0',
      '--log',
      'json',
    )
    await server.says(/"event":"waiting"/)
    const helper = start('helper', '--listen', String(port))
    const { url } = JSON.parse(await server.says(/.*"event":"ready".*/))
    expect((await page(url, '/readyz')).text).toBe('ready\n')
    const early = await Client.create({ server: url, helper: `ws://127.0.0.1:${port}` })
    await early.prepare(1)
    await helper.stop('SIGKILL')
    await server.says(/"event":"helper".*"up":false/)
    expect((await page(url, '/readyz')).status).toBe(503)
    expect(await classify(early)).toBe(7)
    start('helper', '--listen', String(port))
    await server.says(/"up":false[\s\S]*"event":"helper","model":"mnist-cnn3","up":true/)
    const late = await Client.create({ server: url, helper: `ws://127.0.0.1:${port}` })
    expect(await classify(late)).toBe(7)
    await Promise.all([early.release(), late.release()])
  })

  it('that cannot listen ends at once, with status 1', async () => {
    const { url } = await helperAt()
    const { status, stderr } = await ringfence(
      'serve',
      '--model',
      'mnist-cnn3',
      '--helper',
      url,
      '--listen',
      String(digits(url)),
    )
    expect(stderr).toContain('error HOST')
    expect(stderr).toContain('EADDRINUSE')
    expect(status).toBe(1)
  })

  it('goes on when the reader of its log has gone', async () => {
    const { url: helper } = await helperAt()
    const { server, url } = await serverAt(helper)
    server.stopReading()
    for (let i = 0; i < 2; i++) {
      const client = await Client.create({ server: url, helper })
      expect(await classify(client)).toBe(7)
      await client.release()
    }
  })

  it.skipIf(process.platform !== 'linux')('goes on when the disk of its log is full (/dev/full: Linux)', async () => {
    const { url: helper } = await helperAt()
    const port = await freePort()
    const args = ['serve', '--model', 'mnist-cnn3', '--helper', helper, '--listen', String(port)]
    const line = `exec "${process.execPath}" "${root}dist/cli.js" ${args.join(' ')} > /dev/full`
    const child = spawn('/bin/sh', ['-c', line], { cwd: root, stdio: 'ignore' })
    try {
      const url = `ws://127.0.0.1:${port}`
      for (let i = 0; i < 600; i++) {
        if ((await page(url, '/readyz').catch(() => undefined))?.status === 200) break
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      const client = await Client.create({ server: url, helper })
      expect(await classify(client)).toBe(7)
      await client.release()
      expect(child.exitCode).toBeNull()
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('lets inferences end when it is told to: eight of eight are answered, then it ends with status 0', async () => {
    const { url: helper } = await helperAt()
    // Unguarded, as a client that falls silent for two seconds while a server drains is taken to have finished.
    const { server, url } = await serverAt(helper, '--drain', '60', '--no-guard')
    const clients = await Promise.all(Array.from({ length: 8 }, () => Client.create({ server: url, helper })))
    const answers = clients.map(classify)
    await server.says(/connection 8: from/)
    const ended = server.stop('SIGTERM')
    expect(await Promise.all(answers)).toEqual(Array(8).fill(7))
    expect(await ended).toBe(0)
  })

  it('ends at once when it is told twice', async () => {
    const { url: helper } = await helperAt()
    const { server, url } = await serverAt(helper, '--drain', '3600')
    const client = await Client.create({ server: url, helper })
    server.signal('SIGTERM')
    await server.says(/shutting down/)
    expect(await server.stop('SIGTERM')).toBe(130)
    await client.closed
  })

  it('says that it lets everybody in, unless it does not', async () => {
    const { url: helper } = await helperAt()
    const { server } = await serverAt(helper)
    await server.says(
      /warn {2}anyone may use this server up, and clients that deviate are caught, at about twice the work/,
    )
    const unguarded = await serverAt(helper, '--no-guard')
    await unguarded.server.says(/warn {2}anyone may use .*a client that deviates can read its weights \(--no-guard\)/)
  })
})

describe('tokens', () => {
  it('decide who may connect, and are read again on SIGHUP', async () => {
    const tokens = join(folder, 'tokens')
    const secret = join(folder, 'server.token')
    await writeFile(secret, 'zoo-secret\n')
    const line = (name: string, token: string, rest = '') => `${name} ${sha256(token)} ${rest}\n`
    await writeFile(tokens, line('anna', 'anna-secret', 'inferences=2') + line('zoo', 'zoo-secret', 'role=server'))
    const { url: helper } = await helperAt('--tokens', tokens)
    const { server, url } = await serverAt(helper, '--helper-token', `@${secret}`, '--tokens', tokens, '--log', 'json')
    await server.says(/"event":"ready"/)
    expect(await Client.create({ server: url, helper }).catch((error) => error.code)).toBe('UNAUTHORIZED')
    const token = { server: 'anna-secret', helper: 'anna-secret' }
    const mixed = Client.create({ server: url, helper, token: { ...token, helper: 'wrong' } })
    expect(await mixed.catch((error) => error.code)).toBe('UNAUTHORIZED')
    const anna = await Client.create({ server: url, helper, token: 'anna-secret' })
    expect([await classify(anna), await classify(anna)]).toEqual([7, 7])
    expect(await classify(anna).catch((error) => error.code)).toBe('UNAUTHORIZED')
    await anna.release()
    await server.says(
      /"event":"inference","connection":\d+,"principal":"anna","model":"mnist-cnn3","result":"answered"/,
    )
    expect(server.stdout).not.toContain('secret')

    await writeFile(tokens, line('berta', 'berta-secret'))
    server.signal('SIGHUP')
    await server.says(/"event":"reloaded","what":"who may connect"/)
    const berta = { server: 'berta-secret', helper: 'anna-secret' }
    const client = await Client.create({ server: url, helper, token: berta })
    expect(await classify(client)).toBe(7)
    await client.release()
    expect(await Client.create({ server: url, helper, token }).catch((error) => error.code)).toBe('UNAUTHORIZED')
  })

  it('of a client make no server', async () => {
    const tokens = join(folder, 'clients')
    await writeFile(tokens, `anna ${sha256('anna-secret')}\n`)
    const { url } = await helperAt('--tokens', tokens)
    const args = ['--helper', url, '--helper-token', 'anna-secret', '--listen', '0']
    const { status, stderr } = await ringfence('serve', '--model', 'mnist-cnn3', ...args)
    expect(stderr).toContain('error UNAUTHORIZED')
    expect(status).toBe(1)
  })
})

describe('what an operator sees', () => {
  it('health, readiness and figures', async () => {
    const { url: helper } = await helperAt()
    const { server, url } = await serverAt(helper, '--metrics-listen', '127.0.0.1:0')
    const figures = await server.says(/http:\/\/\S+\/metrics/)
    const client = await Client.create({ server: url, helper })
    expect(await classify(client)).toBe(7)
    await client.release()
    expect(await page(url, '/healthz')).toEqual({ status: 200, text: 'ok\n' })
    expect(await page(url, '/metrics')).toMatchObject({ status: 426 })
    const text = await (await fetch(figures)).text()
    expect(text).toContain('ringfence_inferences_total{model="mnist-cnn3",result="answered"} 1')
    expect(text).toContain('ringfence_helper_up{model="mnist-cnn3"} 1')
    expect(text).toMatch(/ringfence_phase_seconds_count\{model="mnist-cnn3",phase="online"\} 1/)
    expect(text).toMatch(/ringfence_link_bytes_total\{link="helper",direction="received"\} [1-9]/)
    expect(text).not.toContain('127.0.0.1')
    expect((await page(helper, '/metrics')).text).toMatch(/ringfence_registrations 1/)
    expect(await page(helper, '/readyz')).toEqual({ status: 200, text: 'ready\n' })
  })
})

describe('a configuration file', () => {
  it('holds any flag and several models, which are read again on SIGHUP without a break', async () => {
    const { url: helper } = await helperAt()
    const model = join(folder, 'digits')
    await cp(`${root}models/mnist-cnn3`, model, { recursive: true })
    const config = join(folder, 'ringfence.json')
    const models = [
      { name: 'digits', model, 'store-mb': 64 },
      { name: 'other', model: 'mnist-cnn3' },
    ]
    await writeFile(config, JSON.stringify({ helper, listen: '127.0.0.1:0', log: 'json', overlap: 600, models }))
    const server = start('serve', '--config', config)
    await server.says(/"event":"ready".*\/m\/other"/)
    const { url, planDigest } = JSON.parse(await server.says(/.*"event":"ready".*\/m\/digits".*/))
    const before = await Client.create({ server: url, helper })
    const other = await Client.create({ server: url.replace('digits', 'other'), helper })
    expect([await classify(before), await classify(other)]).toEqual([7, 7])
    const nowhere = Client.create({ server: url.replace('digits', 'nowhere'), helper })
    expect(await nowhere.catch((error) => error.code)).toBe('BAD_INPUT')

    const description = JSON.parse(await readFile(join(model, 'arch.json'), 'utf8'))
    await writeFile(join(model, 'arch.json'), JSON.stringify({ ...description, labels: [...'abcdefghij'] }))
    server.signal('SIGHUP')
    await server.says(/"event":"reloaded","what":"models"/)
    const after = await Client.create({ server: url, helper })
    expect([after.plan.labels[7], await classify(after)]).toEqual(['h', 7])
    // Who was there goes on, and who holds the plan of before gets the model of before.
    expect(await classify(before)).toBe(7)
    const pinned = await Client.create({ server: url, helper, plan: before.plan })
    expect([pinned.plan.labels[7], await classify(pinned)]).toEqual([before.plan.labels[7], 7])
    // So does who knows no more of it than its digest; any other digest is refused.
    const digest = Buffer.from(planDigest, 'hex')
    const trusting = await Client.create({ server: url, helper, planDigest: digest })
    expect([trusting.plan.labels[7], await classify(trusting)]).toEqual([before.plan.labels[7], 7])
    digest[0] ^= 1
    const wrong = Client.create({ server: url, helper, planDigest: digest })
    expect(await wrong.catch((error) => error.code)).toBe('PLAN_MISMATCH')
    await Promise.all([before, other, after, pinned, trusting].map((client) => client.release()))

    await server.says(/("event":"close"[\s\S]*){6}/)

    // Models come and go with the file; what takes a restart is named.
    const changed = [
      { name: 'digits', model, 'store-mb': 32 },
      { name: 'third', model: 'mnist-cnn3' },
    ]
    const listen = '127.0.0.1:1'
    await writeFile(config, JSON.stringify({ helper, listen, log: 'json', connections: 1, models: changed }))
    server.signal('SIGHUP')
    await server.says(/"level":"warn","event":"restart","keys":"listen"/)
    await server.says(/("event":"reloaded","what":"models"[\s\S]*){2}/)
    const at = (name: string) => url.replace('digits', name)
    await server.says(/"event":"helper","model":"third","up":true/)
    expect(await Client.create({ server: at('other'), helper }).catch((error) => error.code)).toBe('BAD_INPUT')
    const third = await Client.create({ server: at('third'), helper })
    expect(await classify(third)).toBe(7)
    expect(await Client.create({ server: at('third'), helper }).catch((error) => error.code)).toBe('BUSY')
    await third.release()

    // What cannot be used changes nothing.
    await writeFile(config, JSON.stringify({ helper, colour: 'red', models: changed }))
    server.signal('SIGHUP')
    await server.says(/"event":"reload failed","what":"the configuration","message":"[^"]*colour: there is no such key/)
  })

  it('is refused with everything that is wrong with it', async () => {
    const config = join(folder, 'wrong.json')
    const models = [{ name: 'a b', model: 7, speed: 1 }]
    await writeFile(config, JSON.stringify({ colour: 'red', quiet: 'yes', listen: {}, models }))
    const { status, stderr } = await ringfence('serve', '--config', config)
    expect(stderr).toContain('error BAD_FILE')
    for (const text of [
      'colour: there is no such key',
      'quiet: expected true or false',
      'listen: expected a text',
      'models[0]: there is no key speed',
      'models[0]: name:',
      'models[0]: model:',
    ])
      expect(stderr).toContain(text)
    expect(status).toBe(1)
  })
})
