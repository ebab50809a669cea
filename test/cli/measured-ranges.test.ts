// The measurement of `calibrate` goes on from wherever it was left, in its first pass or in the one with factors.
import { expect, it } from 'vitest'
import { measuredRanges } from '../../src/cli/measured-ranges.js'
import type { ProgressBar } from '../../src/cli/terminal/progress-bar.js'
import type { ImageSet } from '../../src/files/image-set.js'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import type { PartFile } from '../../src/files/part-file.js'
import { sampleInput } from '../fixtures/workloads.js'

/** Calls the measurement with a part file that holds `text`, and gathers what it would have kept there. */
async function measured(text: string | undefined, force = false) {
  const model = await loadModelDirectory('models/mnist-cnn3')
  const inputs = Array.from({ length: 20 }, (_, seed) => sampleInput(model.arch, seed))
  const kept: string[] = []
  const part = { path: 'x.part', read: async () => text, keep: (state: () => string) => void kept.push(state()) }
  const stages: string[] = []
  const bar = { update: (_: number, stage: string) => void stages.push(stage) }
  const order = { per: 'channel', margin: 1, threads: 1, force } as const
  const images: ImageSet = { inputs, source: 'noise', labels: undefined, names: [] }
  const never = new AbortController().signal
  const result = await measuredRanges(order, model, images, part as unknown as PartFile, never, bar as ProgressBar)
  return { result, kept, stages }
}

it('resumes in either pass', async () => {
  const { result, kept, stages } = await measured(undefined)
  expect(stages).toEqual(['measuring', 'measuring', 'measuring with factors', 'measuring with factors'])
  expect(result.ranges.maxAbs).not.toEqual(result.plain.maxAbs)
  for (const [i, left] of kept.entries()) {
    const again = await measured(left)
    expect(again.result).toEqual(result)
    expect(again.stages).toEqual(stages.slice(i + 1))
  }
  await expect(measured(kept[0].replace('"key":"', '"key":"x'))).rejects.toThrow(
    /left by a measurement of another model/,
  )
  expect((await measured('damaged', true)).result).toEqual(result)
})
