// `ringfence schema`: what a network's file may hold, for editors and other programs.
import { architectureSchema } from '../../model/schema.js'
import type { Command } from '../terminal/arguments.js'

export const schema: Command = {
  name: 'schema',
  summary: "Print the JSON Schema of a network's file, arch/1: every layer, or the short form of a family.",
  operands: '',
  flags: {},
  notes: ['An editor that knows it completes and checks arch.json; what only a reading can find, inspect reports.'],
  async run(flags) {
    flags.check()
    process.stdout.write(`${JSON.stringify(architectureSchema(), null, 2)}\n`)
    return 0
  },
}
