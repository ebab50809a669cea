// Finds the file of an architecture by what a user names: the file, a model's folder, or a model of the package.
import { join } from 'node:path'
import { RingfenceError } from '../errors.js'
import { type Choices, parseChoices } from '../model/choices.js'
import { type Json, quote } from '../model/json/fields.js'
import { parseObject } from '../model/json/file.js'
import { architectureOf } from './model-directory.js'
import { findModel, packagedModels } from './prepared-model.js'
import { existing, readWhole } from './whole-files.js'

export interface JsonFile {
  readonly path: string
  readonly json: Json
}

/** Whether a name stands for a model, not for a single file. @throws RingfenceError BAD_FILE as `existing` */
export function isModel(name: string): boolean {
  return existing(name)?.isDirectory() ?? packagedModels().includes(name)
}

/** @throws RingfenceError BAD_FILE or BAD_INPUT */
export async function readArchitectureFile(name: string): Promise<JsonFile> {
  if (!isModel(name) && !existing(name)) {
    const known = packagedModels().join(', ')
    const expected = `expected an architecture file, a model's folder, or a model that comes with ringfence (${known})`
    throw new RingfenceError('BAD_INPUT', `there is no ${quote(name)}: ${expected}`)
  }
  const folder = isModel(name) ? findModel(name) : undefined
  return readJson(folder === undefined ? name : join(folder, await architectureOf(folder)))
}

/** @throws RingfenceError BAD_FILE */
export async function readJson(path: string): Promise<JsonFile> {
  return { path, json: parseObject(await readText(path), path) }
}

/** A choices file, in JSON or as Python prints a dict. @throws RingfenceError BAD_FILE */
export async function readChoices(path: string): Promise<Choices> {
  return parseChoices(await readText(path), path)
}

async function readText(path: string): Promise<string> {
  const bytes = await readWhole(path)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new RingfenceError('BAD_FILE', `${path}: expected text, got bytes that are none`, [], { cause })
  }
}
