// `ringfence inspect`: what a network is made of and what it will cost, before anybody runs it.
import { resolve } from 'node:path'
import { detectFormat } from '../../convert/detect.js'
import { convertReluSpec } from '../../convert/pickle/relu-spec.js'
import { fitWeights } from '../../convert/weights/fit.js'
import { readWeights } from '../../convert/weights/read.js'
import { isModel, readArchitectureFile, readChoices } from '../../files/architecture-file.js'
import { Faults } from '../../files/faults.js'
import { loadModelDirectory } from '../../files/model-directory.js'
import { findModel, packagedModels } from '../../files/prepared-model.js'
import { readWhole, writeWhole } from '../../files/whole-files.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import type { Choices } from '../../model/choices.js'
import { parseReluSpec, type ReluSpec } from '../../model/relu/spec.js'
import type { Backend } from '../../plan/plan.js'
import { type Inspection, inspectNetwork } from '../inspection.js'
import { inspectionText } from '../report/inspect.js'
import { layerDiagram } from '../report/layer-diagram.js'
import { type Command, type Flags, PLAN_FLAGS } from '../terminal/arguments.js'
import { ProgressBar } from '../terminal/progress-bar.js'

export const inspect: Command = {
  name: 'inspect',
  summary: 'Count what a network is made of: ReLUs, comparisons, multiplications, parameters, round trips.',
  operands: 'ARCH',
  flags: {
    choices: { type: 'string', valueHint: 'FILE', description: "which options it takes, {'default_1': 0, …}" },
    'relu-spec': { type: 'string', valueHint: 'FILE', description: 'which ReLUs are left: relu-spec/1, or a pickle' },
    weights: {
      type: 'string',
      valueHint: 'FILE',
      description: 'check that these fit: safetensors, PyTorch, .npz; branches that they lack are zeros',
    },
    variant: { type: 'string', valueHint: 'NAME', description: "of a model's folder" },
    svg: { type: 'string', valueHint: 'FILE', description: 'draw the layers' },
    backend: PLAN_FLAGS.backend,
  },
  notes: [
    'ARCH is an arch/1 file, explicit or of a family, a published ProxylessNAS configuration, a folder of a model, or',
    `a model that comes with ringfence (${packagedModels().join(', ')}).`,
    'Nothing is allocated for weights: round trips come from the shapes, by the folding of the compiler itself.',
  ],
  async run(flags) {
    const request = readRequest(flags)
    const bar = new ProgressBar()
    try {
      const { arch, spec, notes } = await load(request, bar)
      bar.clear()
      const inspection = inspectNetwork(arch, spec, request.backend, notes)
      const drawn = request.svg === undefined ? [] : [await draw(request.svg, arch, inspection)]
      const report = { ...inspection, notes: [...inspection.notes, ...drawn] }
      process.stdout.write(flags.on('json') ? `${JSON.stringify(report)}\n` : inspectionText(report, process.stdout))
      return 0
    } finally {
      bar.clear()
    }
  },
}

interface Request {
  readonly name: string
  readonly choices: string | undefined
  readonly reluSpec: string | undefined
  readonly weights: string | undefined
  readonly variant: string | undefined
  readonly svg: string | undefined
  readonly backend: Backend
}

function readRequest(flags: Flags): Request {
  const [name = '', ...others] = flags.operands
  if (name === '') flags.fault('no ARCH is given: name an architecture file or a model')
  if (others.length > 0) flags.fault(`one ARCH is inspected at a time, got ${flags.operands.join(' ')}`)
  const variant = flags.text('variant')
  if (variant !== undefined && name !== '' && !isModel(name)) flags.fault(`--variant: ${name} is a file, not a model`)
  const request = {
    ...{ name, variant, choices: flags.text('choices'), reluSpec: flags.text('relu-spec') },
    ...{ weights: flags.text('weights'), svg: flags.text('svg') },
    backend: flags.oneOf('backend', ['mcc', 'securenn']) ?? 'mcc',
  }
  flags.check()
  return request
}

interface Loaded {
  readonly arch: Architecture
  readonly spec: ReluSpec | undefined
  readonly notes: readonly string[]
}

/** Weights larger than this take a second or so to read. */
const SLOW_BYTES = 2 ** 26

/** Reads all files before it says what is wrong with them. @throws RingfenceError */
async function load(request: Request, bar: ProgressBar): Promise<Loaded> {
  const { name } = request
  const isWhole = isModel(name) && request.weights === undefined && request.choices === undefined
  const faults = new Faults(`ringfence inspect ${name}`)
  const model = isWhole ? await loadModelDirectory(resolve(findModel(name)), request.variant) : undefined
  const file = model ? undefined : await faults.guard(() => readArchitectureFile(name))
  const given = request.choices
  const choices = given === undefined ? undefined : await faults.guard(() => readChoices(given))
  const skipped = given !== undefined && choices === undefined
  const parsed =
    file && !skipped ? await faults.guard(async () => parseArchitecture(file.json, file.path, choices)) : undefined
  const whole = model?.arch ?? parsed
  const fitted =
    request.weights === undefined ? undefined : await faults.guard(() => fitFile(request.weights!, file, choices, bar))
  const arch = fitted?.arch ?? whole
  const specFile = request.reluSpec
  const spec =
    specFile !== undefined && arch ? await faults.guard(() => readSpec(specFile, arch)) : (model?.spec ?? undefined)
  faults.throwIfAny()
  return { arch: arch!, spec, notes: fitted?.notes ?? [] }
}

/** Undefined when there is no network to fit the weights to; they have been read all the same. */
async function fitFile(
  path: string,
  file: { readonly path: string; readonly json: unknown } | undefined,
  choices: Choices | undefined,
  bar: ProgressBar,
): Promise<{ readonly arch: Architecture; readonly notes: readonly string[] } | undefined> {
  const bytes = await readWhole(path, (done) => bar.update(0.8 * done, 'reading weights'), SLOW_BYTES)
  const tensors = readWeights(bytes, path)
  if (!file) return undefined
  const fitted = fitWeights(file.json, tensors, { archSource: file.path, source: path, choices })
  return { arch: fitted.arch, notes: [`${path}: every tensor is there`, ...fitted.notes] }
}

async function readSpec(path: string, arch: Architecture): Promise<ReluSpec> {
  const bytes = await readWhole(path)
  if (detectFormat(bytes) === 'pickle') return convertReluSpec(bytes, arch, { source: path }).spec
  return parseReluSpec(new TextDecoder().decode(bytes), arch, path)
}

async function draw(path: string, arch: Architecture, inspection: Inspection): Promise<string> {
  const svg = layerDiagram(arch, inspection)
  await writeWhole([{ path, bytes: new TextEncoder().encode(svg) }], true)
  return `drawn: ${path}`
}
