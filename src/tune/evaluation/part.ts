// What an interrupted evaluation leaves: the outputs that are known, by variant of the model.
import { RingfenceError } from '../../errors.js'
import { Fields, isObject, quote } from '../../model/json/fields.js'
import { parseObject, summary } from '../../model/json/file.js'
import { shortened } from '../knapsack/problem.js'
import type { KnownLogits } from './evaluate.js'

const FORMAT = 'evaluation-part/2'

/** Outputs of one variant by what made them: `float`, or a choice of windows. */
export interface VariantLogits {
  /** Of everything they depend on. */
  readonly key: string
  readonly known: Map<string, KnownLogits>
}

/** The text of an evaluation that is not finished. */
export function formatEvaluationPart(variants: ReadonlyMap<string, VariantLogits>): string {
  const stored = [...variants].map(([variant, { key, known }]) => {
    const outputs = [...known].map(([name, { overflows, logits }]) => {
      return [name, { overflows, logits: Array.from(logits, (values) => (values ? [...values] : null)) }]
    })
    return [variant, { key, known: Object.fromEntries(outputs) }]
  })
  return JSON.stringify({ format: FORMAT, variants: Object.fromEntries(stored) })
}

/** @throws RingfenceError BAD_FILE with every problem of a damaged file */
export function parseEvaluationPart(json: unknown, source: string): Map<string, VariantLogits> {
  const problems: string[] = []
  const root = new Fields(parseObject(json, source), 'file', problems)
  root.oneOf('format', [FORMAT])
  const variants = Object.entries(root.record('variants')).map(([variant, entry]) => {
    const fields = fieldsOf(entry, `variant ${quote(variant)}`, problems)
    const key = fields.string('key')
    const known = Object.entries(fields.record('known')).map(([name, outputs]) => {
      return [name, readLogits(fieldsOf(outputs, `${fields.where}, ${name}`, problems))] as const
    })
    fields.noOthers()
    return [variant, { key, known: new Map(known) }] as const
  })
  root.noOthers()
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), shortened(problems))
  return new Map(variants)
}

function fieldsOf(entry: unknown, where: string, problems: string[]): Fields {
  if (!isObject(entry)) problems.push(`${where}: expected an object, got ${quote(entry)}`)
  return new Fields(isObject(entry) ? entry : {}, where, problems)
}

function readLogits(fields: Fields): KnownLogits {
  const overflows = fields.integer('overflows', { min: 0 }, 0)
  const list = fields.value('logits')
  const isOutput = (values: unknown) => values === null || (Array.isArray(values) && values.every(Number.isFinite))
  if (!Array.isArray(list) || !list.every(isOutput)) {
    fields.fault('logits', 'a list with the outputs of each input, or null')
    return { overflows, logits: [] }
  }
  fields.noOthers()
  return { overflows, logits: list.map((values) => (values === null ? undefined : Float32Array.from(values))) }
}
