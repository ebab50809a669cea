// `choice-distortion/1` files: how much each option of every choice of a network loses.
import { throwIfAny } from '../../errors.js'
import { Fields, isObject, quote } from '../../model/json/fields.js'
import { parseObject, summary } from '../../model/json/file.js'

/** A `choice-distortion/1` file. */
export interface ChoiceTable {
  readonly format: 'choice-distortion/1'
  readonly network?: string
  /** By key, the distortion of every option, in the order of the network's options. */
  readonly choices: ReadonlyMap<string, readonly number[]>
}

/**
 * Parses a `choice-distortion/1` file, `{ "network": "…", "choices": { "default_1": [0.31, 0], … } }`. A file without
 * `format` is read as such; without `network` it is for any network with these choices.
 * @param json the file's text or its parsed JSON
 * @throws RingfenceError BAD_FILE with every problem of the file: no choices, distortions that are not finite numbers >= 0
 */
export function parseChoiceTable(json: unknown, source = 'choice-distortion.json'): ChoiceTable {
  const problems: string[] = []
  const fields = new Fields(parseObject(json, source), 'file', problems)
  fields.oneOf('format', ['choice-distortion/1'], 'choice-distortion/1')
  const network = fields.has('network') ? fields.string('network') : undefined
  const entries = fields.value('choices')
  fields.noOthers()
  const choices = new Map<string, readonly number[]>()
  if (!isObject(entries) || Object.keys(entries).length === 0) {
    fields.fault('choices', 'an object with a list of distortions by key')
  } else for (const [key, list] of Object.entries(entries)) choices.set(key, readOptions(key, list, problems))
  throwIfAny('BAD_FILE', summary(source, problems.length), problems)
  return { format: 'choice-distortion/1', ...(network === undefined ? {} : { network }), choices }
}

function readOptions(key: string, list: unknown, problems: string[]): readonly number[] {
  if (!Array.isArray(list) || list.length === 0) {
    problems.push(`choices[${quote(key)}]: expected a list of distortions, one per option, got ${quote(list)}`)
    return []
  }
  for (const [option, value] of list.entries()) {
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) continue
    problems.push(`choices[${quote(key)}], option ${option}: expected a number >= 0, got ${quote(value)}`)
  }
  return list
}
