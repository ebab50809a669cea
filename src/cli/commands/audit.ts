// `ringfence audit`: attacks on what each party sees of private inferences.
import type { Attack } from '../../audit/audit.js'
import { type AuditedModel, type AuditModelOptions, auditModel } from '../../files/training/audit-model.js'
import { requireWritable, writeWhole } from '../../files/whole-files.js'
import { auditHtml } from '../report/audit-page.js'
import { circumstances } from '../report/circumstances.js'
import type { Command, Flags } from '../terminal/arguments.js'
import { modelNext } from '../terminal/model-next.js'
import { printed, type Work } from '../terminal/printed.js'
import { columnsOf, count, painter, tableLines, wrapped } from '../terminal/terminal.js'

export const audit: Command = {
  name: 'audit',
  summary: 'Attack what each party sees of private inferences: no picture may come out of it.',
  operands: 'MODEL',
  flags: {
    images: { type: 'string', valueHint: 'PATH', description: 'pictures: a folder, or a CIFAR or MNIST file' },
    variant: { type: 'string', valueHint: 'NAME', description: "the model's variant" },
    pictures: { type: 'string', valueHint: 'N', description: 'so many are attacked (default 50)' },
    recorded: { type: 'string', valueHint: 'N', description: 'so many more are there to learn from (default 200)' },
    steps: { type: 'string', valueHint: 'N', description: 'of every inversion (default 300)' },
    html: { type: 'string', valueHint: 'FILE', description: 'the report as a page, with pictures' },
    force: { type: 'boolean', description: 'overwrite what is there' },
  },
  notes: [
    'All parties run in this process, on pictures that are nobody’s secret. The status is 1 when an attack on a view found something, or one on a control found nothing.',
  ],
  async run(flags) {
    const { html, ...options } = readOptions(flags)
    if (html !== undefined) await requireWritable([html], options.force)
    const report = await printed(
      flags,
      async (how: Work) => {
        const report = await auditModel({ ...options, ...how })
        if (html !== undefined) {
          const page = new TextEncoder().encode(auditHtml(report, circumstances()))
          await writeWhole([{ path: html, bytes: page }], options.force)
        }
        return report
      },
      (report) => text(report, options.model, html),
      jsonOf,
    )
    return report.leaks + report.blind === 0 ? 0 : 1
  },
}

function readOptions(flags: Flags): AuditModelOptions & { readonly html: string | undefined; readonly force: boolean } {
  const options = {
    model: flags.operand(),
    variant: flags.text('variant'),
    images: flags.required('images', 'a folder of pictures, or a CIFAR or MNIST binary file'),
    pictures: flags.integer('pictures', 10, 10_000),
    recorded: flags.integer('recorded', 16, 100_000),
    steps: flags.integer('steps', 1, 1e6),
    html: flags.text('html'),
    force: flags.on('force'),
  }
  flags.check()
  return options
}

/** Without pictures. */
const jsonOf = ({ attacks, shown: _, ...report }: AuditedModel) => ({
  ...report,
  circumstances: circumstances(),
  attacks: attacks.map(({ shown: _, ...attack }) => attack),
})

const decibels = (value: number): string => `${value.toFixed(1)} dB`

/** What an attack is on: for views, whose and by what means, so that rows of many steps are few. */
const groupOf = ({ target, party, of, by }: Attack): string =>
  target === 'view'
    ? `${party}: ${/^(.*?)( of |$)/.exec(of)![1]}`
    : target === 'answer'
      ? `answer: ${of}`
      : `${of}, ${by}`

function text(report: AuditedModel, model: string, html: string | undefined): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const { network, variant, images, attacks, level, leaks, blind, recorded } = report
  const right = { align: 'right' } as const
  const columns = [
    { head: 'attacked', shrinks: 'middle' } as const,
    ...['attacks', 'found', 'least p', 'best hits', 'PSNR', 'of others'].map((head) => ({ head, ...right })),
  ]
  const groups = new Map<string, Attack[]>()
  for (const attack of attacks) groups.set(groupOf(attack), [...(groups.get(groupOf(attack)) ?? []), attack])
  const rows = [...groups].map(([name, own]) => {
    const best = own.reduce((a, b) => (b.verdict.p < a.verdict.p ? b : a))
    const { p, psnr, unrelated, count: of } = best.verdict
    const hits = Math.max(...own.map(({ verdict }) => verdict.hits))
    const found = own.filter((attack) => attack.found).length
    return [
      name,
      count(own.length),
      count(found),
      p.toPrecision(2),
      `${hits}/${of}`,
      decibels(psnr),
      decibels(unrelated),
    ]
  })
  const views = attacks.filter(({ target }) => target === 'view').length
  const verdict =
    leaks > 0
      ? paint('red', `✗ ${leaks} of ${views} attacks on views found something`)
      : paint('green', `✓ none of ${views} attacks on what parties see found anything`)
  return [
    wrapped(`${paint('bold', network)}, ${variant}, ${images}: regression learned from ${count(recorded)}`, width),
    ...tableLines(columns, rows, paint, width),
    wrapped(
      `found: p below ${level.toPrecision(2)}. PSNR is of the attack with the least p, to its own picture and to others`,
      width,
      '  ',
    ),
    ...(blind > 0 ? [`  ${paint('red', `✗ ${blind} controls found nothing: these attacks prove nothing`)}`] : []),
    wrapped(
      'what logits alone give away, whoever is shown an answer learns: that is no leak of the protocol',
      width,
      '  ',
    ),
    `  ${verdict}`,
    ...(html === undefined ? [] : [`  ${paint('green', '→')} ${html}`]),
    modelNext(model, paint),
    '',
  ].join('\n')
}
