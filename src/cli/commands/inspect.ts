// `ringfence inspect`: what a network is made of and what it will cost, before anybody runs it.
import { isModel } from '../../files/architecture-file.js'
import { type InspectModelOptions, inspectModel } from '../../files/inspect-model.js'
import { packagedModels } from '../../files/prepared-model.js'
import { requireWritable, writeText } from '../../files/whole-files.js'
import { inspectionText } from '../report/inspect.js'
import { layerDiagram } from '../report/layer-diagram.js'
import { type Command, type Flags, PLAN_FLAGS } from '../terminal/arguments.js'
import { printed, type Work } from '../terminal/printed.js'
import { nextCommand, painter, quoted } from '../terminal/terminal.js'

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
    `ARCH is an arch/1 file, explicit or of a family, a published ProxylessNAS configuration, a folder of a model, or a model that comes with ringfence (${packagedModels().join(', ')}).`,
    'Nothing is allocated for weights: round trips come from the shapes, by the folding of the compiler itself.',
  ],
  async run(flags) {
    const { svg, ...options } = readOptions(flags)
    if (svg !== undefined) await requireWritable([svg], true)
    const inspected = async (how: Work) => {
      const { arch, inspection } = await inspectModel({ ...options, ...how })
      if (svg !== undefined) await writeText(svg, layerDiagram(arch, inspection), true)
      return inspection
    }
    const paint = painter(process.stdout)
    const next = nextCommand(`cost ${quoted(options.name)}`, 'bytes and seconds of an inference', paint)
    const drawn = svg === undefined ? '' : `  ${paint('green', '→')} ${svg}\n`
    await printed(flags, inspected, (report) => `${inspectionText(report, process.stdout)}${drawn}${next}\n`)
    return 0
  },
}

function readOptions(flags: Flags): InspectModelOptions & { readonly svg: string | undefined } {
  const [name = '', ...others] = flags.operands
  if (name === '') flags.fault('no ARCH is given: name an architecture file or a model')
  if (others.length > 0) flags.fault(`one ARCH is inspected at a time, got ${flags.operands.join(' ')}`)
  const variant = flags.text('variant')
  if (variant !== undefined && name !== '' && !isModel(name)) flags.fault(`--variant: ${name} is a file, not a model`)
  const options = {
    ...{ name, variant, choices: flags.text('choices'), reluSpec: flags.text('relu-spec') },
    ...{ weights: flags.text('weights'), svg: flags.text('svg') },
    backend: flags.oneOf('backend', ['mcc', 'securenn']) ?? 'mcc',
  }
  flags.check()
  return options
}
