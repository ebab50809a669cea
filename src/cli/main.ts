#!/usr/bin/env node
// The `ringfence` program: finds the command, runs it, turns an error into words and an exit status.
import { RingfenceError } from '../errors.js'
import { type Command, Flags } from './terminal/arguments.js'
import { reportFailure } from './terminal/failure-report.js'
import { commandHelp, programHelp } from './terminal/help-text.js'

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./commands/demo.js')).demo,
  helper: async () => (await import('./commands/helper.js')).helper,
  serve: async () => (await import('./commands/serve.js')).serve,
  delegate: async () => (await import('./commands/delegate.js')).delegate,
  infer: async () => (await import('./commands/infer.js')).infer,
  inspect: async () => (await import('./commands/inspect.js')).inspect,
  convert: async () => (await import('./commands/convert.js')).convert,
  distortion: async () => (await import('./commands/distortion.js')).distortion,
  plan: async () => (await import('./commands/plan.js')).plan,
  calibrate: async () => (await import('./commands/calibrate.js')).calibrate,
  evaluate: async () => (await import('./commands/evaluate.js')).evaluate,
  audit: async () => (await import('./commands/audit.js')).audit,
  finetune: async () => (await import('./commands/training/finetune.js')).finetune,
  search: async () => (await import('./commands/training/search.js')).search,
  cost: async () => (await import('./commands/cost.js')).cost,
  bench: async () => (await import('./commands/bench.js')).bench,
  schema: async () => (await import('./commands/schema.js')).schema,
  doctor: async () => (await import('./commands/doctor.js')).doctor,
}

/** Runs one command line; the result is the exit status. */
async function main([name, ...args]: readonly string[]): Promise<number> {
  const json = name === '--json' || args.includes('--json')
  try {
    if (name === 'demo-party') return await (await import('./process/demo-party.js')).playParty()
    if (name === '--version') {
      process.stdout.write(`${(await import('./report/circumstances.js')).packageVersion()}\n`)
      return 0
    }
    const wantsHelp = name === undefined || name === '--help' || name === '-h' || name === 'help'
    if (wantsHelp) return await printHelp(name === 'help' ? args[0] : undefined, name !== undefined)
    const command = await find(name)
    const answersItself = command.ownFlags && args.length > 0 && !args[0].startsWith('-')
    if (!answersItself && (args.includes('--help') || args.includes('-h'))) {
      process.stdout.write(commandHelp(command, process.stdout))
      return 0
    }
    return await command.run(new Flags(command, args), args)
  } catch (error) {
    reportFailure(error, json)
    return 1
  }
}

async function find(name: string): Promise<Command> {
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name]()
  const known = Object.keys(COMMANDS).join(', ')
  throw new RingfenceError('BAD_INPUT', `there is no command ${name}; there are ${known}. See ringfence --help`)
}

async function printHelp(about: string | undefined, asked: boolean): Promise<number> {
  if (about !== undefined) process.stdout.write(commandHelp(await find(about), process.stdout))
  else {
    const all = await Promise.all(Object.values(COMMANDS).map((load) => load()))
    const out = asked ? process.stdout : process.stderr
    out.write(programHelp(all, out))
  }
  return asked ? 0 : 1
}

/** They go on without anybody who reads what they say. */
const LONG_RUNNING: readonly (string | undefined)[] = ['serve', 'helper', 'delegate']

// What was not written is lost: a report cut short never looks like a whole one, whoever reads the status.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (LONG_RUNNING.includes(process.argv[2])) return
  const why = code === 'EPIPE' ? 'its reader has gone' : code === 'ENOSPC' ? 'the disk is full' : code
  process.stderr.write(`error HOST: standard output cannot be written: ${why}\n`)
  process.exit(1)
})
process.stderr.on('error', () => {})
process.exitCode = await main(process.argv.slice(2))
