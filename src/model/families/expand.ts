// The short form of `arch/1` (family, params, choices) into its explicit form, JSON to JSON.
import type { Choices } from '../choices.js'
import { Fields, isObject, type Json, quote } from '../json/fields.js'
import { readShape, type Shape } from '../shape.js'
import type { FamilyNetwork } from './family.js'
import { families } from './index.js'

/**
 * The explicit file that a short one stands for; undefined after reporting why there is none. The file's own `inputs`
 * (laid over the family's, field by field), `outputs`, `weights` and `labels` go before the family's.
 */
export function expandFamily(file: Fields, name: string, choices: Choices): Json | undefined {
  const { problems } = file
  const before = problems.length
  const params = new Fields(file.has('params') ? file.record('params') : {}, 'params', problems)
  if (!file.has('params')) file.fault('params', 'an object')
  const inputs = readInputs(file)
  const family = file.value('family')
  if (typeof family !== 'string' || !Object.hasOwn(families, family)) {
    file.fault('family', `one of ${Object.keys(families).join(', ')}`)
    return undefined
  }
  const labels = file.value('labels')
  const network = families[family]({
    name,
    params,
    choices,
    problem: (text) => file.problem(text),
    inputShape: inputShape(inputs[0], problems),
    labelCount: Array.isArray(labels) && labels.length > 0 ? labels.length : undefined,
  })
  params.noOthers()
  if (problems.length > before) return undefined
  return explicitForm(file, family, network, inputs, choices)
}

function explicitForm(file: Fields, family: string, network: FamilyNetwork, inputs: Json[], choices: Choices) {
  const labels = file.value('labels') ?? network.labels
  const weights = mergeWeights(network.weights, file.value('weights'))
  return {
    format: 'arch/1',
    name: file.value('name'),
    family,
    inputs: overlaid(file, network.inputs, inputs),
    outputs: file.value('outputs') ?? network.outputs,
    layers: network.layers,
    ...(Object.keys(choices).length > 0 ? { choices } : {}),
    ...(weights === undefined ? {} : { weights }),
    ...(labels === undefined ? {} : { labels }),
    ...(file.has('expect') ? { expect: file.value('expect') } : {}),
  }
}

/** The family's layers know its inputs by their names, so a file may describe an input further but not rename it. */
function overlaid(file: Fields, family: readonly Json[], own: readonly Json[]): Json[] {
  const names = family.map(({ name }) => quote(name)).join(', ')
  if (own.length > family.length) file.problem(`inputs: expected at most ${names}, got ${own.length} inputs`)
  return family.map((input, i) => {
    const merged = { ...input, ...own[i] }
    if (merged.name !== input.name) {
      file.problem(
        `inputs[${i}].name: expected ${quote(input.name)}, this family's, or none, got ${quote(merged.name)}`,
      )
    }
    return merged
  })
}

function mergeWeights(family: Json | undefined, own: unknown): unknown {
  if (!isObject(own) || family === undefined) return own ?? family
  const map = isObject(own.map) && isObject(family.map) ? { map: { ...family.map, ...own.map } } : {}
  return { ...family, ...own, ...map }
}

function readInputs(file: Fields): Json[] {
  if (!file.has('inputs')) return []
  const list = file.value('inputs')
  if (Array.isArray(list) && list.every(isObject)) return list
  file.fault('inputs', 'a list of objects')
  return []
}

function inputShape(input: Json | undefined, problems: string[]): Shape | undefined {
  return input && Object.hasOwn(input, 'shape')
    ? readShape(new Fields(input, 'inputs[0]', problems), 'shape')
    : undefined
}
