// `ringfence bench`: hands over to the benches, which are a program of their own and read their own flags.
import type { Command } from '../terminal/arguments.js'

interface Benches {
  main(args: readonly string[]): Promise<number>
}

export const bench: Command = {
  name: 'bench',
  summary: 'Measure kernels, ReLUs, comparisons per bit, or a whole inference in three processes.',
  operands: 'kernels|relu|e2e|securenn|compare',
  flags: { quick: { type: 'boolean', description: 'fewer repetitions' } },
  notes: ['compare has flags of its own: ringfence bench compare --help'],
  ownFlags: true,
  async run(_flags, args) {
    // Through a variable, so that the build leaves it alone: dist/bench.js starts itself again as its own processes.
    const program = new URL('./bench.js', import.meta.url).href
    const { main } = (await import(program)) as Benches
    return main(args)
  },
}
