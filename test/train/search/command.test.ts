// `ringfence search` on a few digits: from an architecture with choices to a folder that can be served.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { search } from '../../../src/cli/commands/training/search.js'
import { prepareModel } from '../../../src/node.js'
import { onTerminal, run } from '../../cli/in-process.js'
import { writeDigits } from '../digits.js'

let dir: string
let images: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-search-'))
  images = writeDigits(dir, 'few', 4)
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const seesaw = {
  ...{ format: 'arch/1', name: 'small', family: 'seesaw', inputs: [{ name: 'x', shape: [1, 28, 28] }] },
  params: { dataset: 'imagenet', blockConfig: [1], ops: ['skip_connect', 'conv_1x1', 'sep_conv_3x3'], numClasses: 10 },
}
const of = [{ op: 'identity' }, { op: 'relu' }]
const explicit = {
  format: 'arch/1',
  name: 'open',
  inputs: [{ name: 'x', shape: [1, 28, 28] }],
  outputs: ['fc'],
  layers: [
    { id: 'c', op: 'conv2d', in: ['x'], cout: 4, kernel: [4, 4], stride: [4, 4], pad: [0, 0, 0, 0], bias: true },
    { id: 'r', op: 'choice', in: ['c'], key: 'r', of },
    { id: 'f', op: 'flatten', in: ['r'] },
    { id: 'fc', op: 'linear', in: ['f'], cout: 10 },
  ],
}
const few = [
  ...['--epochs', '1', '--retrain-epochs', '1', '--batch', '10', '--no-flip'],
  ...['--threads', '1', '--shift', '0', '--rate', '0.002'],
]

it('searches, trains, and writes what can be served', async () => {
  const path = join(dir, 'open.json')
  writeFileSync(path, JSON.stringify(explicit))
  const lines = (await onTerminal(80, search, path, '--images', images, ...few, '-o', join(dir, 'made'))).split('\n')
  expect(lines.filter((line) => [...line].length > 80)).toEqual([])
  expect(lines.join('\n')).toMatch(/r +196 +0\.\d{3} +(yes|no)/)
  const { compiled } = await prepareModel(join(dir, 'made'), undefined)
  const { choices } = JSON.parse(readFileSync(join(dir, 'made/arch.json'), 'utf8'))
  expect([0, 1]).toContain(choices.r)
  expect(compiled.plan.steps.at(-1)!.id).toBe('fc')
})

it('prunes the branches of a Seesaw network', async () => {
  const path = join(dir, 'seesaw.json')
  writeFileSync(path, JSON.stringify(seesaw))
  const more = ['--costs', 'seesaw', '--kept', '1', '--json', '-o', join(dir, 'pruned')]
  const report = JSON.parse(await run(search, path, '--images', images, '--limit', '20', ...few, ...more))
  expect(report.layers).toMatchObject([{ id: 'samples.0.samplelayer1.nonlinear' }])
  const { params } = JSON.parse(readFileSync(join(dir, 'pruned/arch.json'), 'utf8'))
  expect(params.kept.map((names: string[]) => names.length)).toEqual([1])
  await expect(run(search, path, '--images', images, '--portion', '7')).rejects.toMatchObject({
    problems: expect.arrayContaining([expect.stringContaining('--portion')]),
  })
})
