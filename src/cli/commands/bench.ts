// `ringfence bench`: hands over to the benches of the repository, a program of their own that reads its own flags.
import { existsSync } from 'node:fs'
import { RingfenceError } from '../../errors.js'
import type { Command } from '../terminal/arguments.js'

interface Benches {
  main(args: readonly string[]): Promise<number>
}

export const bench: Command = {
  name: 'bench',
  summary:
    'Measure kernels, ReLUs, comparisons per bit, or a whole inference in three processes; in a clone of the repository.',
  operands: 'NAME',
  flags: { quick: { type: 'boolean', description: 'fewer repetitions' } },
  notes: ['Which benches there are: npm run bench -- --help. Each has its own: npm run bench -- compare --help'],
  ownFlags: true,
  async run(_flags, args) {
    // Through a variable, so that the build leaves it alone: the benches start themselves again as their own processes.
    const program = new URL('../build/bench/bench.js', import.meta.url)
    if (!existsSync(program)) {
      throw new RingfenceError(
        'UNSUPPORTED',
        'the benches are not part of the installed package: run npm run bench in a clone of the repository',
      )
    }
    const { main } = (await import(program.href)) as Benches
    return main(args)
  },
}
