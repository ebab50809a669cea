// `ringfence register`: makes the registration that several servers of one model share.
import { existsSync } from 'node:fs'
import { RingfenceError } from '../../../errors.js'
import { findModel, prepareModel } from '../../../files/prepared-model.js'
import { connect } from '../../../net/index.js'
import { newRegistration } from '../../../party/registration.js'
import { writeRegistration } from '../../process/fleet/shared-registration.js'
import { type Command, HELPER_KEY_FLAG, PLAN_FLAGS, planOptions, toHex } from '../../terminal/arguments.js'
import { inFlags, secretOf } from '../../terminal/flag-words.js'
import { nextCommand, painter, quoted } from '../../terminal/terminal.js'

export const register: Command = {
  name: 'register',
  summary: 'Make a registration for several servers of one model, so that their helper holds it once.',
  flags: {
    model: { type: 'string', valueHint: 'DIR', description: "a model's folder, or a packaged model" },
    variant: { type: 'string', valueHint: 'NAME', description: "one of the model's variants" },
    helper: { type: 'string', valueHint: 'URL', description: 'the helper, wss://… (or ws:// on this machine)' },
    'helper-token': {
      type: 'string',
      valueHint: 'TOKEN|@FILE',
      description: 'what the helper asks servers for; @FILE keeps it off the command line',
    },
    out: { type: 'string', valueHint: 'FILE', alias: 'o', description: 'the file to make (default registration.key)' },
    ...HELPER_KEY_FLAG,
    ...PLAN_FLAGS,
  },
  notes: [
    'The file is a secret: whoever has it and is the helper, or a client, has the weights. Every server gets it: serve --registration FILE.',
    'It holds for one model, one plan and one key of the helper (helper --identity). Guarded plans have none: each server registers itself.',
  ],
  async run(flags) {
    const model = flags.required('model', "the folder of a model, with the server's weights")
    const helper = flags.required('helper', 'where the helper listens, for example ws://127.0.0.1:7701')
    const [variant, token, out = 'registration.key'] = ['variant', 'helper-token', 'out'].map((name) =>
      flags.text(name),
    )
    const helperKey = flags.key('helper-key')
    const options = planOptions(flags)
    flags.check()
    if (existsSync(out)) throw new RingfenceError('BAD_INPUT', `${out}: there is a file already`)
    const { compiled } = await inFlags(prepareModel(findModel(model), variant, options))
    const shown = await secretOf('helper-token', token)
    const channel = await connect(helper, { role: 'server', token: shown })
    const shared = await newRegistration(compiled, channel, { helperKey })
    await writeRegistration(out, shared)
    const facts = { file: out, helperKey: toHex(shared.helperKey), planDigest: toHex(shared.planDigest) }
    if (flags.on('json')) process.stdout.write(`${JSON.stringify(facts)}\n`)
    else {
      const next = `serve --model ${quoted(model)} --helper ${quoted(helper)} --registration ${quoted(out)}`
      const lines = [`file         ${out}`, `helper key   ${facts.helperKey}`, `plan digest  ${facts.planDigest}`]
      const then = nextCommand(next, 'is each of the servers', painter(process.stdout))
      process.stdout.write(`${[...lines, then].join('\n')}\n`)
    }
    return 0
  },
}
