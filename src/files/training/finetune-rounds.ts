// Plan, fine-tune, plan again: each round plans for fewer comparisons by what changes do to the weights as they are by then.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RingfenceError } from '../../errors.js'
import { measureDistortion } from '../measure-distortion.js'
import { loadModelDirectory } from '../model-directory.js'
import { type PlanModelOptions, planModel } from '../plans/plan-model.js'
import { findModel } from '../prepared-model.js'
import { makeFolder, writeWhole } from '../whole-files.js'
import { type FinetunedModel, type FinetuneModelOptions, finetuneModel } from './finetune-model.js'

/** How many rounds, to which budget, and as `finetuneModel`. */
export interface FinetuneRoundsOptions
  extends Omit<FinetuneModelOptions, 'reluSpec'>,
    Pick<PlanModelOptions, 'cull' | 'objective' | 'network'> {
  readonly rounds: number
  /** Share of the cost with all ReLUs that is left after the last round; those before go down to it by equal factors. */
  readonly ratio: number
  /** Pictures that distortions are measured on: default 32. */
  readonly distortionPictures?: number
}

/** One round; it is a variant of the folder, of this name. */
export interface Round extends FinetunedModel {
  readonly name: string
  readonly ratio: number
  /** Summed, as it was planned. */
  readonly distortion: number
}

/**
 * Per round: distortions of the weights so far, plain ReLUs in place of what they were trained for; the spec of least
 * distortion for the round's share; weights trained for it. Writes `output`/round-N, each a folder as `finetuneModel` makes
 * it with its table, and `output`/model.json, of which rounds are the variants: evaluated together they are a front.
 * @throws RingfenceError as `measureDistortion`, `planModel` and `finetuneModel`; ABORTED by `signal`, when the same call
 *   goes on where it was
 */
export async function finetuneRounds(options: FinetuneRoundsOptions): Promise<Round[]> {
  const { rounds, ratio, cull, objective, network, distortionPictures = 32, onProgress, ...tuning } = options
  const { output, force = false, signal, threads, images, resize } = tuning
  const manifest = join(output, 'model.json')
  if (existsSync(manifest) && !force) {
    throw new RingfenceError('BAD_INPUT', `${manifest} is there already; to begin anew, say so (--force)`)
  }
  const plain = findModel(options.model)
  const names = Array.from({ length: rounds }, (_, i) => `round-${i + 1}`)
  const done: Round[] = []
  let start: Pick<FinetuneModelOptions, 'model' | 'variant'> = { model: plain, variant: options.variant }
  for (const [i, name] of names.entries()) {
    const folder = join(output, name)
    const at = (file: string) => join(folder, file)
    const share = ratio ** ((i + 1) / rounds)
    const how = {
      ...{ signal, threads, force },
      onProgress:
        onProgress && ((p: Parameters<typeof onProgress>[0]) => onProgress({ ...p, stage: `${name}, ${p.stage}` })),
    }
    if (force || !existsSync(at('report.json'))) {
      await makeFolder(folder)
      const [table, spec] = [at('distortion.json'), at('plan.json')]
      if (force || !existsSync(table)) {
        const wanted = { images, resize, limit: distortionPictures, restored: true, output: table }
        await measureDistortion({ ...start, ...wanted, ...how })
      }
      const planning = {
        model: plain,
        distortion: table,
        budget: { ratio: share },
        cull,
        objective,
        network,
        output: spec,
      }
      const { distortion } = await planModel({ ...planning, ...how, force: true })
      const teacher = tuning.teacher ?? plain
      // Weights without a report are of a call that ended in between.
      const anew = { force: force || existsSync(at('weights.safetensors')) }
      const training = { ...tuning, ...start, ...how, ...anew }
      const tuned = await finetuneModel({ ...training, teacher, reluSpec: spec, output: folder })
      const round: Round = { ...tuned, name, ratio: share, distortion }
      await writeWhole([{ path: at('report.json'), bytes: json(round) }], true)
    }
    done.push(JSON.parse(await readFile(at('report.json'), 'utf8')) as Round)
    start = { model: folder }
  }
  await writeWhole([{ path: manifest, bytes: json(manifestOf((await loadModelDirectory(plain)).name, names)) }], force)
  return done
}

const manifestOf = (name: string, rounds: readonly string[]) => ({
  ...{ format: 'model/1', name, arch: `${rounds[0]}/arch.json`, default: rounds.at(-1) },
  variants: Object.fromEntries(
    rounds.map((round) => {
      const files = { weights: 'weights.safetensors', reluSpec: 'relu-spec.json', calibration: 'calibration.json' }
      return [round, Object.fromEntries(Object.entries(files).map(([key, file]) => [key, `${round}/${file}`]))]
    }),
  ),
})

const json = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 1)}\n`)
