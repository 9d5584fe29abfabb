import { describe, expect, it } from 'vitest'
import { fillForm } from '../../../src/cli/form.ts'
import { questioner } from '../../../src/cli/question.ts'
import { fakeIo } from './fake-io.ts'

async function fill(schema: unknown, ...lines: string[]) {
  const io = fakeIo({ tty: true })
  const ask = questioner(io)
  io.type(...lines)
  io.end()
  const answer = await fillForm(schema, ask, text => text)
  ask.close()
  return { answer, shown: io.err() }
}

const form = (properties: object, required: string[] = []) => ({ type: 'object', properties, required })

describe('fillForm', () => {
  it('reads every kind of field', async () => {
    const schema = form(
      {
        name: { type: 'string', title: 'Your name', description: 'As on the card' },
        age: { type: 'integer' },
        weight: { type: 'number' },
        ok: { type: 'boolean' },
        color: { type: 'string', enum: ['r', 'g'], enumNames: ['Red', 'Green'] },
        size: { type: 'string', oneOf: [{ const: 's', title: 'Small' }, { const: 'l', title: 'Large' }] },
        toppings: { type: 'array', items: { anyOf: [{ const: 'a', title: 'Ananas' }, { const: 'b', title: 'Basil' }] } },
        days: { type: 'array', items: { type: 'string', enum: ['mon', 'tue'] } },
      },
      ['name'],
    )
    const { answer, shown } = await fill(schema, 'Ada', '36', '61.5', 'y', 'Green', '2', '1, b', 'tue', '')
    expect(answer).toEqual({
      action: 'accept',
      content: { name: 'Ada', age: 36, weight: 61.5, ok: true, color: 'g', size: 'l', toppings: ['a', 'b'], days: ['tue'] },
    })
    expect(shown).toContain('As on the card')
    expect(shown).toContain('Your name (text, required)')
    expect(shown).toContain('2) Large')
  })

  it('takes defaults, leaves optional fields out, insists on required ones', async () => {
    const schema = form({ a: { type: 'string', default: 'x' }, b: { type: 'string' }, c: { type: 'integer' } }, ['c'])
    const { answer, shown } = await fill(schema, '', '', '', '7', 'y')
    expect(answer).toEqual({ action: 'accept', content: { a: 'x', c: 7 } })
    expect(shown).toContain('an answer is needed')
  })

  it.each([
    [{ type: 'integer' }, '1.5', '2', 2, 'whole number'],
    [{ type: 'number', minimum: 3 }, '2', '3', 3, 'at least 3'],
    [{ type: 'number' }, 'x', '0', 0, 'a number'],
    [{ type: 'string', maxLength: 2 }, 'abc', 'ab', 'ab', 'at most 2 characters'],
    [{ type: 'string', format: 'email' }, 'me', 'me@x.org', 'me@x.org', 'e-mail'],
    [{ type: 'string', format: 'uri' }, 'x', 'x:y', 'x:y', 'URI'],
    [{ type: 'string', format: 'date' }, '31.1.2026', '2026-01-31', '2026-01-31', 'date such as'],
    [{ type: 'string', format: 'date-time' }, '2026-01-31', '2026-01-31T12:00:00Z', '2026-01-31T12:00:00Z', 'date and time'],
    [{ type: 'boolean' }, 'perhaps', 'no', false, 'yes or no'],
    [{ type: 'string', enum: ['a', 'b'] }, '3', 'b', 'b', 'one of 1 to 2'],
    [{ type: 'array', minItems: 2, items: { enum: ['a', 'b'] } }, 'a', 'a,b', ['a', 'b'], 'at least 2 choices'],
  ])('%o refuses %s and asks again', async (field, wrong, right, value, complaint) => {
    const { answer, shown } = await fill(form({ f: field }), wrong, right, 'y')
    expect(answer).toEqual({ action: 'accept', content: { f: value } })
    expect(shown).toContain(complaint)
  })

  it('declines when the person does not want to send it, cancels when the input ends', async () => {
    expect((await fill(form({ a: { type: 'string' } }), 'x', 'n')).answer).toEqual({ action: 'decline' })
    expect((await fill(form({ a: { type: 'string' } }))).answer).toEqual({ action: 'cancel' })
    expect((await fill(form({}))).answer).toEqual({ action: 'cancel' })
  })

  it('makes do with a schema that is none', async () => {
    expect((await fill(undefined, '')).answer).toEqual({ action: 'accept', content: {} })
  })
})
