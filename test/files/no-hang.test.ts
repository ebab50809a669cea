// What no command may do with its files: wait for a pipe, read a device without an end, leave half a result on a full disk.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { calibrate } from '../../src/cli/commands/calibrate.js'
import { convert } from '../../src/cli/commands/convert.js'
import { cost } from '../../src/cli/commands/cost.js'
import { demo } from '../../src/cli/commands/demo.js'
import { distortion } from '../../src/cli/commands/distortion.js'
import { evaluate } from '../../src/cli/commands/evaluate.js'
import { infer } from '../../src/cli/commands/infer.js'
import { inspect } from '../../src/cli/commands/inspect.js'
import { plan } from '../../src/cli/commands/plan.js'
import { helper } from '../../src/cli/commands/services/helper.js'
import { serve } from '../../src/cli/commands/services/serve.js'
import type { Command } from '../../src/cli/terminal/arguments.js'
import { RingfenceError } from '../../src/errors.js'
import { run } from '../cli/in-process.js'

const disk = vi.hoisted(() => ({ full: false }))
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  const open: typeof real.open = async (path, flags, mode) => {
    const file = await real.open(path, flags, mode)
    if (disk.full && flags !== undefined && /^w/.test(String(flags))) {
      file.writeFile = () => Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }))
    }
    return file
  }
  return { ...real, open }
})

const isPosix = process.platform !== 'win32'
const why = isPosix ? '' : ' (SKIPPED: this system has no such files)'
let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-files-'))
  if (isPosix) execFileSync('mkfifo', [join(dir, 'pipe')])
})
afterEach(() => {
  disk.full = false
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const parties = ['--server', 'ws://127.0.0.1:1', '--helper', 'ws://127.0.0.1:1']
const service = ['--model', 'mnist-cnn3', '--helper', 'ws://127.0.0.1:1', '--listen', '0']
const MODEL = 'mnist-cnn3'

/** Every flag and operand that names a file to read; FILE stands for it. */
const READERS: readonly (readonly [Command, ...string[]])[] = [
  [infer, ...parties, 'FILE'],
  [infer, ...parties, '--token', '@FILE', 'models/samples/digit-7.png'],
  [demo, '--model', MODEL, 'FILE'],
  [inspect, 'FILE'],
  [inspect, 'models/mnist-cnn3/arch.json', '--relu-spec', 'FILE'],
  [inspect, 'models/mnist-cnn3/arch.json', '--weights', 'FILE'],
  [convert, 'FILE', '--output', 'never'],
  [convert, 'models/mnist-cnn3/weights.safetensors', '--arch', 'FILE', '--output', 'never'],
  [calibrate, MODEL, '--images', 'FILE'],
  [evaluate, MODEL, '--images', 'FILE'],
  [distortion, MODEL, '--images', 'FILE', '--output', 'never'],
  [plan, MODEL, '--distortion', 'FILE', '--ratio', '0.5', '--output', 'never'],
  [cost, 'FILE'],
  [cost, MODEL, '--relu-spec', 'FILE'],
  [helper, '--listen', '0', '--tokens', 'FILE'],
  [helper, '--listen', '0', '--jwks', 'FILE', '--audience', 'a'],
  [helper, '--listen', '0', '--cert', 'FILE', '--key', 'FILE'],
  [helper, '--listen', '0', '--identity', 'FILE'],
  [helper, '--config', 'FILE'],
  [serve, ...service, '--helper-token', '@FILE'],
  [serve, ...service, '--tokens', 'FILE'],
  [serve, '--model', 'FILE', '--helper', 'ws://127.0.0.1:1', '--listen', '0'],
]
const named = READERS.map(([command, ...args]) => [`${command.name} ${args.join(' ')}`, command, args] as const)

describe.skipIf(!isPosix)(`inputs${why}`, () => {
  it.each(named)('%s: a pipe, a device or a file of /proc ends with a typed error', async (_, command, args) => {
    for (const file of [join(dir, 'pipe'), '/dev/zero', '/proc/self/maps']) {
      const error = await run(command, ...args.map((arg) => arg.replace('FILE', file))).catch((thrown) => thrown)
      expect(error, `${file}: ${error?.stack}`).toBeInstanceOf(RingfenceError)
      // A plain file that is empty, as those of /proc look, is a picture to be decoded once there is a plan, and no secret.
      const plain = /^(BAD_|UNSUPPORTED|PEER_GONE|INSECURE)/
      expect(error.code).toMatch(file.startsWith('/proc') ? plain : /^(BAD_|UNSUPPORTED)/)
      expect([error.message, ...error.problems].join('\n')).not.toMatch(/undefined|\bat .*\.ts:\d/)
    }
  })
})

describe('a full disk', () => {
  const images = () => join(dir, 'images')
  const labelled = () => join(dir, 'labelled')
  beforeAll(async () => {
    // MNIST's format: two pictures of 28 x 28, and their classes.
    const header = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28]
    writeFileSync(images(), new Uint8Array([...header, ...new Uint8Array(2 * 28 * 28).fill(90)]))
    mkdirSync(join(labelled(), '7'), { recursive: true })
    copyFileSync('models/samples/digit-7.png', join(labelled(), '7', 'seven.png'))
    await run(distortion, MODEL, '--images', images(), '--limit', '1', '--output', join(dir, 'measured'))
  })
  const writers = (): readonly (readonly [Command, ...string[]])[] => [
    [inspect, MODEL, '--svg', 'OUT'],
    [convert, 'models/mnist-cnn3/weights.safetensors', '--arch', 'models/mnist-cnn3/arch.json', '--output', 'OUT'],
    [calibrate, MODEL, '--images', images(), '--output', 'OUT'],
    [helper, '--listen', '0', '--identity', 'OUT'],
    [evaluate, MODEL, '--images', labelled(), '--output', 'OUT'],
    [evaluate, MODEL, '--images', labelled(), '--html', 'OUT'],
    [evaluate, MODEL, '--images', labelled(), '--svg', 'OUT'],
    [distortion, MODEL, '--images', images(), '--limit', '1', '--output', 'OUT'],
    [plan, MODEL, '--distortion', join(dir, 'measured'), '--ratio', '0.5', '--output', 'OUT'],
  ]

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    'ends a command that writes with one line, and leaves nothing behind (%i)',
    async (which) => {
      const [command, ...args] = writers()[which]
      const before = readdirSync(dir)
      disk.full = true
      const error = await run(command, ...args.map((arg) => arg.replace('OUT', join(dir, 'out')))).catch((e) => e)
      expect(error, error?.stack).toBeInstanceOf(RingfenceError)
      expect(error.message).toContain('the disk is full')
      expect(error.message).not.toContain('\n')
      expect(readdirSync(dir).filter((name) => name !== 'out' || readdirSync(join(dir, 'out')).length > 0)).toEqual(
        before,
      )
    },
  )
})
