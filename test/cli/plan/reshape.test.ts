// `ringfence reshape`: what a file becomes, as a table and as JSON, and every flag that is wrong.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { reshape } from '../../../src/cli/commands/training/reshape.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { countNetwork } from '../../../src/model/count.js'
import { onTerminal, run } from '../in-process.js'

const dir = mkdtempSync(join(tmpdir(), 'ringfence-reshape-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const resnet = join(dir, 'resnet.json')
const params = { depth: 18, stem: 'cifar', numClasses: 100 }
writeFileSync(
  resnet,
  JSON.stringify({
    ...{ format: 'arch/1', name: 'r18', family: 'resnet', params, inputs: [{ shape: [3, 32, 32] }] },
    expect: { relus: 557056 },
  }),
)

it('aligns stages, and says in which ways it can be done', async () => {
  const output = join(dir, 'aligned.json')
  const lines = await onTerminal(80, reshape, resnet, '--align', '3,2,4,1', '--width', '16', '-o', output)
  expect(lines.split('\n').filter((line) => [...line].length > 80)).toEqual([])
  expect(lines).toContain('growth 5,5,3; as aligned: 5,7,2  6,6,2  7,5,2')
  expect(lines).toMatch(/32×32 +5 +64 +16 +327,680 +81,920/)
  expect(lines.replace(/\s+/g, ' ')).toContain('ReLUs 557,056 → 343,040; multiplications 555,468,800 → 1,053,353,152')
  const made = parseArchitecture(readFileSync(output, 'utf8'))
  expect(countNetwork(made).relus).toBe(343_040)
})

it('gives the same as JSON, and shuffles what a family stands for', async () => {
  const file = join(dir, 'cnet.json')
  const skips = Array.from({ length: 6 }, (_, i) => Array(i).fill(1))
  const own = { width: 2, kernels: Array(6).fill(3), skips, numClasses: 3 }
  writeFileSync(file, JSON.stringify({ format: 'arch/1', name: 'c', family: 'cryptonas', params: own }))
  const report = JSON.parse(await run(reshape, file, '--shuffle', '--prune-skips', '--json', '-o', join(dir, 'c')))
  expect(report).toMatchObject({ network: 'c', growths: null, before: { relus: 12_288 }, after: { relus: 12_288 } })
  expect(report.after.stages.map(({ channels }: { channels: number }) => channels)).toEqual([2, 8, 32])
  const again = run(reshape, file, '--balance', '-o', join(dir, 'c'))
  await expect(again).rejects.toThrow('--force')
})

it('names every flag that is wrong', async () => {
  const both = run(reshape, resnet, '--balance', '--growth', '2,x,2', '-o', join(dir, 'x'))
  await expect(both).rejects.toMatchObject({ problems: [expect.stringContaining('--growth: expected whole numbers')] })
  const nothing = run(reshape, resnet, '--width', '8')
  await expect(nothing).rejects.toMatchObject({
    problems: [
      expect.stringContaining('--output'),
      expect.stringContaining('--width: goes with'),
      expect.stringContaining('nothing would change'),
    ],
  })
  const many = run(reshape, resnet, '--growth', '2,2', '-o', join(dir, 'x'))
  await expect(many).rejects.toThrow('expected 4 widths, whole numbers from 1 on, for the maps 32×32, 16×16, 8×8, 4×4')
})
