// The bench of the search on a few pictures of noise: a row per share of the cost, and what is done stays.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { RECORD } from '../../bench/accuracy/cifar10.js'
import { searchFront } from '../../bench/suites/search.js'
import { drawn } from '../../src/train/pictures.js'

const dir = mkdtempSync(join(tmpdir(), 'ringfence-front-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

it('makes a front, and goes on where it was called off', async () => {
  const pictures = join(dir, 'noise.bin')
  const bytes = Uint8Array.from({ length: 24 * RECORD }, (_, i) =>
    i % RECORD === 0 ? (i / RECORD) % 10 : 256 * drawn(3, i),
  )
  writeFileSync(pictures, bytes)
  const folder = join(dir, 'front')
  const scale = { width: 4, blocks: [1], epochs: 1, retrainEpochs: 1, kept: 1, costs: 'seesaw' } as const
  const stop = new AbortController()
  const run = { train: pictures, test: pictures, folder, scale, portions: [1, 0.2], judged: 4, threads: 1 }
  const onProgress = ({ stage }: { stage: string }) => {
    if (stage === 'training') stop.abort()
  }
  await expect(searchFront({ ...run, signal: stop.signal, onProgress })).rejects.toMatchObject({ code: 'ABORTED' })
  const rows = await searchFront(run)
  expect(rows.map(({ portion, of }) => [portion, of])).toEqual([
    [1, 1],
    [0.2, 1],
  ])
  for (const { float, reference, drelus, flights, onlineBytes, onlineSeconds } of rows) {
    for (const share of [float, reference]) expect(share >= 0 && share <= 1).toBe(true)
    expect(drelus).toBeGreaterThanOrEqual(0)
    for (const cost of [flights, onlineBytes, onlineSeconds]) expect(cost).toBeGreaterThan(0)
  }
  const written = () => statSync(join(folder, '1.search.json')).mtimeMs
  const before = written()
  expect(await searchFront(run)).toEqual(rows)
  expect(written()).toBe(before)
  expect(JSON.parse(readFileSync(join(folder, '1.search.json'), 'utf8'))).toMatchObject({ portion: 1 })
})
