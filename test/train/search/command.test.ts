// `ringfence search` on a few digits: from an architecture with choices to a folder that can be served.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { search } from '../../../src/cli/commands/training/search.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { networkProfiles } from '../../../src/net/index.js'
import { prepareModel, searchModel } from '../../../src/node.js'
import { openSums, predictedCosts } from '../../../src/train.js'
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
const renamed = (id: string) =>
  explicit.layers.map((layer) => ({
    ...layer,
    id: layer.id === 'r' ? id : layer.id,
    in: layer.in.map((input) => (input === 'r' ? id : input)),
  }))
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

it('prunes the branches of a Seesaw network round by round, taught by another network', async () => {
  const path = join(dir, 'seesaw.json')
  writeFileSync(path, JSON.stringify(seesaw))
  const more = ['--costs', 'seesaw', '--kept', '1', '--prune-rounds', '2', '--json', '-o', join(dir, 'pruned')]
  const taught = [...more, '--teacher', 'mnist-cnn3']
  const report = JSON.parse(await run(search, path, '--images', images, '--limit', '20', ...few, ...taught))
  expect(report.layers).toMatchObject([{ id: 'samples.0.samplelayer1.nonlinear' }])
  expect(report).toMatchObject({ machine: expect.stringContaining('GiB'), ringfence: expect.stringMatching(/^\d/) })
  expect([report.rounds.length, report.unit]).toEqual([2, 'published'])
  const { params } = JSON.parse(readFileSync(join(dir, 'pruned/arch.json'), 'utf8'))
  expect(params.kept.map((names: string[]) => names.length)).toEqual([1])
  expect(existsSync(join(dir, 'pruned/search.part'))).toBe(false)
  await expect(run(search, path, '--images', images, '--portion', '7')).rejects.toMatchObject({
    problems: expect.arrayContaining([expect.stringContaining('--portion')]),
  })
  const both = run(search, path, '--images', images, '-o', join(dir, 'x'), '--json', '--csv')
  await expect(both).rejects.toMatchObject({ problems: ['expected one of --json and --csv'] })
  const other = run(search, path, '--images', images, '--teacher', 'resnet20-cifar10', '-o', join(dir, 'x'))
  await expect(other).rejects.toThrow('expected pictures of [1,28,28] and 10 classes, got pictures of [3,32,32]')
})

it('prints its choices for a spreadsheet', async () => {
  const path = join(dir, 'open.json')
  writeFileSync(path, JSON.stringify({ ...explicit, layers: renamed('r, or not') }))
  const text = await run(search, path, '--images', images, '--limit', '20', ...few, '--csv', '-o', join(dir, 'csv'))
  expect(text).toMatch(
    /^layer,relus,chance,taken,date,machine,ringfence,runtime\n"r, or not",196,0\.\d+,(relu|identity),20.*\n$/,
  )
})

it('refuses branches to be kept where there are none', async () => {
  const path = join(dir, 'open.json')
  writeFileSync(path, JSON.stringify(explicit))
  const kept = run(search, path, '--images', images, ...few, '--kept', '2', '-o', join(dir, 'x'))
  await expect(kept).rejects.toMatchObject({ problems: [expect.stringContaining('family seesaw')] })
  const rounds = run(search, path, '--images', images, ...few, '--prune-rounds', '2', '-o', join(dir, 'x'))
  await expect(rounds).rejects.toMatchObject({ problems: [expect.stringContaining('goes with kept')] })
})

it('goes on where it was called off, in the search and in training, to the same numbers', async () => {
  const path = join(dir, 'open.json')
  writeFileSync(path, JSON.stringify(explicit))
  const numbers = { batch: 10, shift: 0, flip: false, rate: 0.001 }
  const options = {
    model: path,
    images,
    threads: 1,
    recipe: { ...numbers, epochs: 2 },
    retrain: { ...numbers, epochs: 2 },
  }
  const whole = await searchModel({ ...options, output: join(dir, 'whole') })
  const output = join(dir, 'again')
  for (const [stage, times] of [
    ['searching', 3],
    ['training', 2],
  ] as const) {
    const stop = new AbortController()
    let left = times
    const onProgress = (now: { stage: string }) => {
      if (now.stage === stage && left-- === 0) stop.abort()
    }
    const cut = searchModel({ ...options, output, signal: stop.signal, onProgress })
    await expect(cut).rejects.toMatchObject({ code: 'ABORTED' })
  }
  const others = searchModel({ ...options, output, chances: { portion: 0.5 } })
  await expect(others).rejects.toThrow('other options')
  expect(await searchModel({ ...options, output })).toEqual({ ...whole, output })
  const bytes = (folder: string) => readFileSync(join(dir, folder, 'weights.safetensors')).toString('base64')
  expect(bytes('again')).toBe(bytes('whole'))
})

/** One of two kernels, the second behind a wider map: as ProxylessNAS chooses kernels and widths. */
const conv = (id: string, from: string, cout: number, k: number) => ({
  ...{
    id,
    op: 'conv2d',
    in: [from],
    cout,
    kernel: [k, k],
    stride: [1, 1],
    pad: Array(4).fill((k - 1) / 2),
    bias: true,
  },
})
const paths = {
  ...{ format: 'arch/1', name: 'paths', inputs: [{ name: 'x', shape: [1, 28, 28] }], outputs: ['fc'] },
  layers: [
    { id: 's', op: 'conv2d', in: ['x'], cout: 4, kernel: [4, 4], stride: [4, 4], pad: [0, 0, 0, 0], bias: true },
    conv('wide', 's', 24, 5),
    { id: 'wide.relu', op: 'relu', in: ['wide'] },
    conv('wide.out', 'wide.relu', 4, 1),
    conv('thin', 's', 4, 3),
    { id: 'thin.relu', op: 'relu', in: ['thin'] },
    { id: 'sum', op: 'weightedSum', in: ['wide.out', 'thin.relu'], coef: 'sum.coef', norm: 'none' },
    { id: 'f', op: 'flatten', in: ['sum'] },
    { id: 'fc', op: 'linear', in: ['f'], cout: 10 },
  ],
}

it('takes the cheap one of two paths by the latency table, and writes the network without the other', async () => {
  const arch = parseArchitecture(paths)
  const { linear, choices } = predictedCosts(arch, { profile: networkProfiles.wan60 }, openSums(arch))
  // Of ReLUs each beside its own path, of paths the dearer one's surplus.
  expect(choices.map(({ layer }) => layer)).toEqual(['wide.relu', 'thin.relu', 'sum'])
  const [wide, thin, sum] = choices.map(({ costs }) => costs)
  expect(wide[1]).toBeGreaterThan(thin[1])
  expect(sum[1]).toBe(0)
  expect(sum[0]).toBeGreaterThan(0)
  expect(linear).toBeGreaterThan(0)
  const file = join(dir, 'paths.json')
  writeFileSync(file, JSON.stringify(paths))
  const numbers = { batch: 10, shift: 0, flip: false, rate: 2e-4, epochs: 4 }
  const report = await searchModel({
    ...{
      model: file,
      images,
      threads: 1,
      recipe: numbers,
      retrain: { ...numbers, epochs: 1 },
      output: join(dir, 'one'),
    },
    chances: { total: 1000, balance: 0, portion: 0.01, rate: 0.3 },
  })
  expect(report.paths).toMatchObject([{ id: 'sum', taken: 'thin.relu' }])
  const thinRelu = report.layers.find(({ id }) => id === 'thin.relu')!
  const { compiled, model } = await prepareModel(join(dir, 'one'), undefined)
  expect(model.arch.layers.map(({ id }) => id)).toEqual(['s', 'thin', 'thin.relu', 'sum', 'f', 'fc'])
  expect([model.spec!.drelus, compiled.plan.steps.at(-1)!.id]).toEqual([thinRelu.kept ? 4 * 49 : 0, 'fc'])
})
