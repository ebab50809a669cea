import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { type Running, ringfence, root, startRingfence } from './program.js'

const PICTURE = `${root}models/samples/digit-7.png`
let folder: string
let helper: Running
let server: Running
let urls: string[]
let publicKey: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringfence-'))
  helper = startRingfence('helper', '--listen', ':0', '--identity', join(folder, 'helper.key'))
  const helperUrl = await helper.says(/ws:\/\/\S+/)
  publicKey = await helper.says(/public key +([0-9a-f]{64})/)
  const pin = ['--helper-key', publicKey]
  server = startRingfence('serve', '--model', 'mnist-cnn3', '--helper', helperUrl, '--listen', '0', ...pin, '--json')
  const ready = JSON.parse(await server.says(/.*"ready".*/))
  urls = ['--server', ready.url, '--helper', helperUrl]
})
afterAll(async () => {
  await Promise.all([server.stop(), helper.stop()])
  await rm(folder, { recursive: true })
})

describe('ringfence helper, serve and infer', () => {
  it('classify pictures, PNG and raw, as text and as JSON', async () => {
    const raw = join(folder, 'digit.raw')
    await writeFile(raw, decodeImage(await readFile(PICTURE)).data)
    const text = await ringfence('infer', ...urls, '--helper-key', publicKey, PICTURE, raw)
    expect(text.stdout).toMatch(/digit-7\.png +7 /)
    expect(text.stdout).toMatch(/digit\.raw +7 /)
    expect(text.status).toBe(0)
    const json = await ringfence('infer', ...urls, '--json', PICTURE)
    const report = JSON.parse(json.stdout)
    expect(report).toMatchObject({ network: 'mnist-cnn3', images: [{ prediction: 7, label: '7' }] })
    expect(report.images[0].logits).toHaveLength(10)
    expect(report.online.flights).toBe(8)
  })

  it('take a picture of another size when told how', async () => {
    const other = `${root}models/samples/cat-chelsea.png`
    const refused = await ringfence('infer', ...urls, other)
    expect(refused.stderr.replace(/\s+/g, ' ')).toContain('(or --resize) makes it fit')
    const { status, stdout } = await ringfence('infer', ...urls, '--resize', 'cover', other)
    expect(status).toBe(0)
    expect(stdout).toMatch(/cat-chelsea\.png +\d /)
  })

  it('print results, not progress, for thirty pictures off a terminal, in 80 columns', async () => {
    const { status, stdout, stderr } = await ringfence('infer', ...urls, ...Array<string>(30).fill(PICTURE))
    const lines = stdout.trimEnd().split('\n')
    expect(lines.filter((line) => /digit-7\.png +7 /.test(line))).toHaveLength(30)
    expect(stderr.trimEnd().split('\n')).toEqual(['connecting …', 'classifying …'])
    expect(lines.filter((line) => [...line].length > 80)).toEqual([])
    expect(lines.at(-1)).toMatch(/next npx ringfence demo/)
    expect(status).toBe(0)
  })

  it('say what to type next, in lines that a shell takes as they stand', async () => {
    expect(helper.stdout).toContain(`  --helper-key ${publicKey}\n`)
    const [, command] = /next npx ringfence (serve [\s\S]*?[^\\])\n/.exec(helper.stdout)!
    expect(command.replaceAll(' \\\n ', '')).toBe(
      `serve --model resnet20-cifar10 --helper ${urls[3]} --helper-key ${publicKey}`,
    )
    const before = helper.stdout.slice(0, helper.stdout.indexOf(`--helper-key ${publicKey}`))
    // A line of the log is one, however long.
    const lines = before.split('\n').filter((line) => !/^\d{4}-\d\d-\d\dT/.test(line))
    expect(lines.filter((line) => line.length > 80)).toEqual([])
  })

  it('keep the helper’s key in a file that only its owner can read', async () => {
    expect((await stat(join(folder, 'helper.key'))).mode & 0o777).toBe(0o600)
    const again = startRingfence('helper', '--listen', ':0', '--identity', join(folder, 'helper.key'), '--quiet')
    expect(await again.says(/public key +([0-9a-f]{64})/)).toBe(publicKey)
    expect(await again.stop()).toBe(0)
  })

  it('refuse another helper than the pinned one', async () => {
    const { status, stderr } = await ringfence('infer', ...urls, '--helper-key', 'ab'.repeat(32), PICTURE)
    expect(stderr).toContain('error INSECURE')
    expect(status).toBe(1)
  })

  it('say which address leads to another party', async () => {
    const [, at, , dealer] = urls
    for (const [args, address] of [
      [['infer', '--server', dealer, '--helper', at, PICTURE], 'server'],
      [['infer', '--server', at, '--helper', at, PICTURE], 'helper'],
      [['serve', '--model', 'mnist-cnn3', '--listen', '0', '--helper', at], 'helper'],
    ] as const) {
      const { status, stderr } = await ringfence(...args)
      expect(stderr).toContain('error WRONG_PARTY')
      const said = `expected a ${address} at the ${address}'s address, another party answers there; see that no addresses are swapped`
      expect(stderr.replace(/\s+/g, ' ')).toContain(said)
      expect(status).toBe(1)
    }
    expect(helper.stdout + helper.stderr).toContain('this is a helper, and whoever connected took it for a server')
  })

  it('refuse another plan than the expected one', async () => {
    const { status, stdout } = await ringfence('infer', ...urls, '--plan-digest', 'ab'.repeat(32), '--json', PICTURE)
    expect(JSON.parse(stdout).error.code).toBe('PLAN_MISMATCH')
    expect(status).toBe(1)
  })

  it('refuse a picture of the wrong size before anything of it is sent', async () => {
    const { status, stderr } = await ringfence('infer', ...urls, `${root}models/samples/cat-chelsea.png`)
    expect(stderr).toContain('error BAD_INPUT')
    // Lines break where the path's length makes them.
    expect(stderr.replace(/\s+/g, ' ')).toMatch(
      /cat-chelsea\.png: expected .* 28 wide and 28 high, got 32 wide and 32 high/,
    )
    expect(status).toBe(1)
  })

  it('end cleanly on Ctrl-C and SIGTERM', async () => {
    const third = startRingfence('serve', '--model', 'mnist-cnn3', '--helper', urls[3], '--listen', '0')
    const next = await third.says(/next npx ringfence [\s\S]*?[^\\]\n/)
    expect(next).toMatch(/infer IMAGE… --server ws:\S+ (\\\n {2})?--helper ws:\S+/)
    expect(await third.stop('SIGTERM')).toBe(0)
    const second = startRingfence('helper', '--listen', ':0')
    await second.says(/ws:/)
    expect(await second.stop()).toBe(0)
  })
})
