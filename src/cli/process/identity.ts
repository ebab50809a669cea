// A party's long-lived secret key, in a file that only its owner can read.
import { existsSync } from 'node:fs'
import { RingfenceError } from '../../errors.js'
import { type KeyPair, keyPair } from '../../random/seed.js'
import { type FlagDefinitions, fromHex, toHex } from '../terminal/arguments.js'
import { readSecretOf, writeSecret } from './secret-file.js'

export const IDENTITY_FLAG = {
  identity: {
    type: 'string',
    valueHint: 'FILE',
    description: 'file of the long-lived secret key, made when it is missing; without it every start has a new key',
  },
} as const satisfies FlagDefinitions

/** Reads the key pair, or makes a new one in a file that only its owner can read. */
export async function loadIdentity(file: string): Promise<KeyPair> {
  if (!existsSync(file)) return newIdentity(file)
  const text = (await readSecretOf('a secret key', file)).trim()
  if (/^[0-9a-f]{64}$/i.test(text)) return keyPair(fromHex(text))
  throw new RingfenceError('BAD_FILE', `${file}: expected a secret key of 64 hexadecimal digits`)
}

async function newIdentity(file: string): Promise<KeyPair> {
  const keys = keyPair()
  await writeSecret('the new secret key', file, `${toHex(keys.secretKey)}\n`)
  return keys
}
