// Training that is killed, not called off: what its part file held goes on to the same numbers.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ringfence, startRingfence } from '../cli/program.js'
import { writeDigits } from './digits.js'

const dir = mkdtempSync(join(tmpdir(), 'ringfence-killed-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const images = writeDigits(dir, 'few', 10)
const shared = ['--images', images, '--no-flip', '--threads', '1', '--batch', '10', '--rate', '0.003']

const net = join(dir, 'open.json')
const input = { name: 'x', shape: [1, 28, 28], preprocess: { scale: 1 / 255 } }
const map = { kernel: [4, 4], stride: [4, 4], pad: [0, 0, 0, 0], bias: true }
const of = [{ op: 'identity' }, { op: 'relu' }]
writeFileSync(
  net,
  JSON.stringify({
    ...{ format: 'arch/1', name: 'open', inputs: [input], outputs: ['fc'] },
    layers: [
      { id: 'c', op: 'conv2d', in: ['x'], cout: 4, ...map },
      { id: 'r', op: 'choice', in: ['c'], key: 'r', of },
      { id: 'f', op: 'flatten', in: ['r'] },
      { id: 'fc', op: 'linear', in: ['f'], cout: 10 },
    ],
  }),
)

const cases = [
  ['finetune', ['finetune', 'mnist-cnn3', ...shared, '--epochs', '40'], 'weights.safetensors.part'],
  ['search', ['search', net, ...shared, '--shift', '0', '--epochs', '400', '--retrain-epochs', '2'], 'search.part'],
] as const

it.each(cases)('%s killed in the middle goes on to the same weights', async (name, args, part) => {
  const [whole, cut] = ['whole', 'cut'].map((folder) => join(dir, `${name}-${folder}`))
  const begun = startRingfence(...args, '-o', cut)
  // The part file is written every two seconds.
  const deadline = Date.now() + 200_000
  while (!existsSync(join(cut, part)) && Date.now() < deadline) await new Promise((next) => setTimeout(next, 20))
  expect(existsSync(join(cut, part))).toBe(true)
  await begun.stop('SIGKILL')
  expect(existsSync(join(cut, 'weights.safetensors'))).toBe(false)
  for (const folder of [cut, whole]) expect(await ringfence(...args, '-o', folder)).toMatchObject({ status: 0 })
  const bytes = (folder: string) => readFileSync(join(folder, 'weights.safetensors')).toString('base64')
  expect(bytes(cut)).toBe(bytes(whole))
  expect(existsSync(join(cut, part))).toBe(false)
})
