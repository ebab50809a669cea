// `ringfence convert` on checkpoints that hold more than their network: heads that only training needs, factors of ReLUs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { convert } from '../../src/cli/commands/convert.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.js'
import { namedTensors } from '../../src/model/weights.js'
import { randomWeights } from '../fixtures/networks.js'
import { run } from './in-process.js'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-checkpoint-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const file = {
  format: 'arch/1',
  name: 'two',
  inputs: [{ name: 'x', shape: [2, 4, 4] }],
  outputs: ['fc'],
  layers: [
    { id: 'conv', op: 'conv2d', in: ['x'], cout: 3, kernel: [1, 1] },
    { id: 'relu', op: 'relu', in: ['conv'] },
    { id: 'flat', op: 'flatten', in: ['relu'] },
    { id: 'hidden', op: 'linear', in: ['flat'], cout: 5 },
    { id: 'relu2', op: 'relu', in: ['hidden'] },
    { id: 'fc', op: 'linear', in: ['relu2'], cout: 2 },
  ],
}
const arch = parseArchitecture(file)
const own = namedTensors(arch, randomWeights(arch, 1))
const floats = (...shape: number[]) => {
  const size = shape.reduce((a, b) => a * b, 1)
  return { shape, data: Float32Array.from({ length: size }, (_, i) => (i % 3) * 0.01) }
}

/** Converts the network's tensors and others into a folder; what is printed as JSON, or the error's problems. */
async function converted(more: Record<string, ReturnType<typeof floats>>, ...flags: string[]) {
  const [weights, network] = [join(dir, 'w.safetensors'), join(dir, 'arch.json')]
  writeFileSync(weights, writeSafetensors(new Map([...own, ...Object.entries(more)])))
  writeFileSync(network, JSON.stringify(file))
  return JSON.parse(await run(convert, weights, '--arch', network, '-o', `${join(dir, 'out')}/`, '--json', ...flags))
}
const problems = (task: Promise<unknown>): Promise<string> =>
  task.then(
    () => '',
    (error) => error.problems.join('\n'),
  )
const written = (name: string) => readFileSync(join(dir, 'out', name))

const head = { 'auxiliary_head.conv.weight': floats(4, 2), 'auxiliary_head.conv.bias': floats(4) }

it('tensors of a head that only training needs are refused by name, and dropped by --drop with a note of each', async () => {
  const refused = await problems(converted(head))
  expect(refused).toMatch(/"auxiliary_head\.conv\.weight" \[4,2\]: no layer/)
  expect(refused).toMatch(/--drop/)
  const { notes } = await converted(head, '--drop', 'auxiliary_head.')
  expect(notes).toContain('2 tensors dropped: auxiliary_head.conv.weight, auxiliary_head.conv.bias')
  expect([...readSafetensors(written('weights.safetensors')).keys()].sort()).toEqual([...own.keys()].sort())
})

it('--drop names what is there, and takes nothing that the network needs', async () => {
  expect(await problems(converted(head, '--drop', 'auxiliary_head.,neck.'))).toMatch(
    /no tensor's name starts with "neck\."/,
  )
  expect(await problems(converted({}, '--drop', 'fc.'))).toMatch(/"fc\.weight", found none/)
})

it('per-element factors become a mask: a ReLU above 0.01, the value itself elsewhere', async () => {
  const alphas = { 'a1.alphas': floats(1, 3, 4, 4), 'a2.alphas': floats(5) }
  const { outputs, counts } = await converted(alphas, '--masks', '.alphas')
  expect(outputs.map(({ kind }: { kind: string }) => kind)).toEqual(['arch', 'safetensors', 'relu-spec'])
  const spec = parseReluSpec(JSON.parse(written('relu-spec.json').toString()), arch)
  // Of 0, 0.01, 0.02 and so on only the third is above, whatever 0.01 is in float32.
  expect([counts.drelus, spec.drelus]).toEqual([16 + 1, 16 + 1])
  const mask = spec.layers.get('relu') as { off: string; bits: Uint8Array }
  expect([mask.off, [...mask.bits.slice(0, 6)]]).toEqual(['identity', [0, 0, 1, 0, 0, 1]])
})

it('factors of other shapes, or of other layers than the network has, are refused at once', async () => {
  const alphas = { 'a1.alphas': floats(1, 3, 4, 5), 'a2.alphas': floats(6), 'a3.alphas': floats(1) }
  const found = await problems(converted(alphas, '--masks', '.alphas'))
  expect(found).toMatch(/expected masks for 2 activations, found 3/)
  expect(found).toMatch(/"a1\.alphas": expected \[3,4,4\] as "relu" has it, got \[1,3,4,5\]/)
  expect(found).toMatch(/"a2\.alphas": expected \[5\] as "relu2"/)
})
