/**
 * A server's form, asked field by field on a terminal. Owns how each kind of field is shown, read and checked; the values
 * follow the form's schema (2025-11-25 client/elicitation, "Requested Schema"). Knows nothing of calls.
 */
import type { JsonObject } from '../gateway/contract.ts'
import type { Questioner } from './question.ts'

/** What the person made of it, in the protocol's words. */
export interface Answer extends JsonObject {
  readonly action: 'accept' | 'decline' | 'cancel'
  readonly content?: JsonObject
}

interface Choice {
  readonly value: string
  readonly title: string
}

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Asks all fields, shows what will be sent, and asks whether to send it. */
export async function fillForm(schema: unknown, ask: Questioner, clean: (text: string) => string): Promise<Answer> {
  const properties = isObject(schema) && isObject(schema['properties']) ? schema['properties'] : {}
  const required = isObject(schema) && Array.isArray(schema['required']) ? schema['required'] : []
  const content: JsonObject = {}
  for (const [name, field] of Object.entries(properties)) {
    const value = await askField(name, isObject(field) ? field : {}, required.includes(name), ask, clean)
    if (value === cancelled) return { action: 'cancel' }
    if (value !== undefined) content[name] = value
  }
  const shown = Object.keys(content).length === 0 ? 'an empty answer' : JSON.stringify(content)
  const send = await ask.yes(`Send ${clean(shown)}?`, true)
  if (send === undefined) return { action: 'cancel' }
  return send ? { action: 'accept', content } : { action: 'decline' }
}

const cancelled = Symbol('cancelled')

async function askField(
  name: string,
  field: JsonObject,
  isRequired: boolean,
  ask: Questioner,
  clean: (text: string) => string,
): Promise<unknown> {
  const title = typeof field['title'] === 'string' ? field['title'] : name
  const choices = choicesOf(field)
  if (typeof field['description'] === 'string') ask.say(`  ${clean(field['description'])}`)
  choices?.forEach((choice, index) => ask.say(`    ${index + 1}) ${clean(choice.title)}`))
  const preset = field['default']
  const notes = [
    expectation(field, choices),
    isRequired ? 'required' : 'optional',
    ...(preset === undefined ? [] : [`default ${JSON.stringify(preset)}`]),
  ]
  for (;;) {
    const line = await ask.line(`  ${clean(title)} (${clean(notes.join(', '))}): `)
    if (line === undefined) return cancelled
    if (line.trim() === '') {
      if (preset !== undefined) return preset
      if (!isRequired) return undefined
      ask.say('    an answer is needed here; Ctrl-D gives up')
      continue
    }
    const read = readField(line.trim(), field, choices)
    if (!('wrong' in read)) return read.value
    ask.say(`    ${read.wrong}`)
  }
}

/** The closed list a field offers, whatever way its schema spells it. */
function choicesOf(field: JsonObject): Choice[] | undefined {
  const holder = field['type'] === 'array' && isObject(field['items']) ? field['items'] : field
  const titled = holder['oneOf'] ?? holder['anyOf']
  if (Array.isArray(titled))
    return titled
      .filter(isObject)
      .map(({ const: value, title }) => ({ value: String(value), title: typeof title === 'string' ? title : String(value) }))
  if (!Array.isArray(holder['enum'])) return undefined
  const names = Array.isArray(holder['enumNames']) ? holder['enumNames'] : []
  return holder['enum'].map((value, index) => ({
    value: String(value),
    title: typeof names[index] === 'string' ? names[index] : String(value),
  }))
}

function expectation(field: JsonObject, choices: Choice[] | undefined): string {
  if (choices) return field['type'] === 'array' ? 'numbers or values, with commas' : 'number or value'
  switch (field['type']) {
    case 'boolean':
      return 'yes or no'
    case 'number':
    case 'integer':
      return field['type'] === 'integer' ? 'whole number' : 'number'
    default:
      return typeof field['format'] === 'string' ? field['format'] : 'text'
  }
}

type Read = { readonly value: unknown } | { readonly wrong: string }

function readField(text: string, field: JsonObject, choices: Choice[] | undefined): Read {
  if (choices && field['type'] === 'array') {
    const read = text.split(',').map(part => readChoice(part.trim(), choices))
    const wrong = read.find(one => 'wrong' in one)
    if (wrong) return wrong
    const value = read.map(one => (one as { value: unknown }).value)
    return outside(value.length, field['minItems'], field['maxItems'], 'choices') ?? { value }
  }
  if (choices) return readChoice(text, choices)
  switch (field['type']) {
    case 'boolean':
      return /^(y|yes|true|1)$/i.test(text)
        ? { value: true }
        : /^(n|no|false|0)$/i.test(text)
          ? { value: false }
          : { wrong: 'yes or no, please' }
    case 'number':
    case 'integer': {
      const value = Number(text)
      if (!Number.isFinite(value)) return { wrong: 'a number, please' }
      if (field['type'] === 'integer' && !Number.isInteger(value)) return { wrong: 'a whole number, please' }
      return outside(value, field['minimum'], field['maximum'], '') ?? { value }
    }
    default:
      return (
        outside([...text].length, field['minLength'], field['maxLength'], 'characters') ??
        badFormat(text, field['format']) ?? { value: text }
      )
  }
}

function readChoice(text: string, choices: readonly Choice[]): Read {
  const named = choices.find(choice => choice.value === text || choice.title === text)
  const numbered = /^\d+$/.test(text) ? choices[Number(text) - 1] : undefined
  const chosen = named ?? numbered
  return chosen ? { value: chosen.value } : { wrong: `one of 1 to ${choices.length}, please` }
}

function outside(amount: number, least: unknown, most: unknown, unit: string): { wrong: string } | undefined {
  if (typeof least === 'number' && amount < least) return { wrong: `at least ${least} ${unit}`.trim() }
  if (typeof most === 'number' && amount > most) return { wrong: `at most ${most} ${unit}`.trim() }
  return undefined
}

function badFormat(text: string, format: unknown): { wrong: string } | undefined {
  switch (format) {
    case 'email':
      return /^[^\s@]+@[^\s@]+$/.test(text) ? undefined : { wrong: 'an e-mail address, please' }
    case 'uri':
      return URL.canParse(text) ? undefined : { wrong: 'a URI, please' }
    case 'date':
      return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))
        ? undefined
        : { wrong: 'a date such as 2026-01-31, please' }
    case 'date-time':
      return /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text))
        ? undefined
        : { wrong: 'a date and time such as 2026-01-31T12:00:00Z, please' }
    default:
      return undefined
  }
}
