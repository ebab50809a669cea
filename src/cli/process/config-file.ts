// A configuration file: the flags of a command as JSON. What stands on the command line goes before it.
import { RingfenceError } from '../../errors.js'
import { readTextOf } from '../../files/whole-files.js'
import { type Command, Flags } from '../terminal/arguments.js'

/** One of several models of a server. */
export interface ModelEntry {
  /** It is served at /m/NAME. */
  readonly name: string
  readonly model: string
  readonly variant?: string
  readonly 'store-mb'?: number
}

const MODEL_KEYS = ['name', 'model', 'variant', 'store-mb']

export interface Configured {
  readonly flags: Flags
  /** The key `models`; empty without one. */
  readonly models: readonly ModelEntry[]
}

/**
 * The command's flags, from the file that `--config` names and from the command line.
 * @param withModels whether the command knows the key `models`
 * @throws RingfenceError BAD_FILE with everything that is wrong
 */
export async function configured(
  command: Command,
  flags: Flags,
  args: readonly string[],
  { withModels = false } = {},
): Promise<Configured> {
  const file = flags.text('config')
  if (file === undefined) return { flags, models: [] }
  flags.check()
  const { $schema: _, ...values } = await readObject(file)
  const problems: string[] = []
  const fromFile: string[] = []
  const known = Object.keys(command.flags).filter((key) => key !== 'config')
  let models: readonly ModelEntry[] = []
  for (const [key, value] of Object.entries(values)) {
    if (withModels && key === 'models') models = readModels(value, problems)
    else if (!known.includes(key)) problems.push(`${key}: there is no such key; there are ${known.join(', ')}`)
    else fromFile.push(...asArguments(key, value, command.flags[key].type === 'boolean', problems))
  }
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', `${file}: this configuration cannot be used`, problems)
  return { flags: new Flags(command, [...fromFile, ...args]), models }
}

async function readObject(file: string): Promise<Record<string, unknown>> {
  const text = await readTextOf('a configuration', file)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new RingfenceError('BAD_FILE', `expected a configuration at ${file}, but it is no JSON`, [], { cause })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new RingfenceError('BAD_FILE', `${file}: expected a JSON object whose keys are flags`)
}

function asArguments(key: string, value: unknown, isSwitch: boolean, problems: string[]): string[] {
  if (isSwitch) {
    if (typeof value === 'boolean') return value ? [`--${key}`] : []
    problems.push(`${key}: expected true or false`)
    return []
  }
  const parts = Array.isArray(value) ? value : [value]
  if (parts.length > 0 && parts.every((part) => typeof part === 'string' || typeof part === 'number')) {
    return [`--${key}=${parts.join(',')}`]
  }
  problems.push(`${key}: expected a text, a number or a list of them`)
  return []
}

function readModels(models: unknown, problems: string[]): ModelEntry[] {
  if (!Array.isArray(models)) {
    problems.push('models: expected a list of objects with name and model')
    return []
  }
  const names = new Set<string>()
  for (const [at, entry] of models.entries()) {
    const fault = (what: string) => problems.push(`models[${at}]: ${what}`)
    if (typeof entry !== 'object' || entry === null) {
      fault('expected an object with name and model')
      continue
    }
    for (const key of Object.keys(entry)) if (!MODEL_KEYS.includes(key)) fault(`there is no key ${key}`)
    const { name, model, variant, 'store-mb': storeMB } = entry as Record<string, unknown>
    if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name))
      fault('name: expected up to 64 letters, digits and . _ -')
    else if (names.has(name)) fault(`name: ${name} is there already`)
    else names.add(name)
    if (typeof model !== 'string' || model === '') fault("model: expected a model's folder, or a packaged model")
    if (variant !== undefined && typeof variant !== 'string') fault('variant: expected a text')
    if (
      storeMB !== undefined &&
      !(Number.isInteger(storeMB) && (storeMB as number) >= 1 && (storeMB as number) <= 4096)
    ) {
      fault('store-mb: expected a whole number from 1 to 4096')
    }
  }
  return models as ModelEntry[]
}
