import { type SyntaxNode } from '@lezer/common';

/** Type of the result of a PromQL expression. That of a Grafana variable is not known. */
type Type = 'scalar' | 'text' | 'vector' | 'range' | 'unknown';

/**
 * A fault at one node that the grammar accepts and Prometheus refuses: arguments of a wrong number or type, or an
 * operator with operands that it cannot join.
 *
 * @param expr the expression that the node was parsed from
 */
export function typeError(expr: string, node: SyntaxNode): string | undefined {
  switch (node.name) {
    case 'FunctionCall':
    case 'AggregateExpr':
      return wrongArguments(
        nameOf(expr, node),
        argumentsOf(node).map((argument) => typeOf(expr, argument)),
      );
    case 'BinaryExpr':
      return wrongOperands(expr, node);
    case 'UnaryExpr':
      return isValue(typeOf(expr, node)) ? undefined : 'a sign belongs before a number or an instant vector';
    case 'MatrixSelector':
      return node.firstChild?.name === 'VectorSelector'
        ? undefined
        : 'a range of a result needs a step: [1h:1m]';
    case 'SubqueryExpr':
      return typeOf(expr, children(node)[0]!) === 'range' ? 'a subquery takes an instant vector' : undefined;
    default:
      return undefined;
  }
}

/** The children of a node that are part of the expression. */
export function children(node: SyntaxNode | null): SyntaxNode[] {
  const all: SyntaxNode[] = [];
  for (let child = node?.firstChild ?? null; child; child = child.nextSibling) {
    if (child.name !== 'LineComment') all.push(child);
  }
  return all;
}

function typeOf(expr: string, node: SyntaxNode): Type {
  switch (node.name) {
    case 'NumberDurationLiteral':
      return 'scalar';
    case 'StringLiteral':
      return 'text';
    case 'MatrixSelector':
    case 'SubqueryExpr':
      return 'range';
    case 'FunctionCall':
      return ['time', 'pi', 'scalar'].includes(nameOf(expr, node)) ? 'scalar' : 'vector';
    case 'BinaryExpr':
      return operands(node).every((operand) => typeOf(expr, operand) === 'scalar') ? 'scalar' : 'vector';
    case 'UnaryExpr':
      return typeOf(expr, children(node).at(-1)!);
    case 'ParenExpr':
    case 'OffsetExpr':
    case 'StepInvariantExpr':
    case 'AnchoredExpr':
    case 'SmoothedExpr':
      return typeOf(expr, children(node)[0]!);
    default:
      return expr[node.from] === '$' ? 'unknown' : 'vector';
  }
}

// s, t, v, r for a scalar, text, a vector, a range; ? for one that may be left out, * for
// any number. A function that is not here takes one vector.
const signatures: Record<string, string> = {
  ...of('r', 'rate irate increase delta idelta deriv resets changes'),
  ...of('sr', 'quantile_over_time'),
  ...of('rs', 'predict_linear'),
  ...of('rss', 'double_exponential_smoothing'),
  ...of('sv', 'histogram_quantile quantile topk bottomk limitk limit_ratio'),
  ...of('ssv', 'histogram_fraction'),
  ...of('tv', 'count_values'),
  ...of('vs', 'clamp_max clamp_min'),
  ...of('vss', 'clamp'),
  ...of('vs?', 'round'),
  ...of('v?', 'day_of_month day_of_week day_of_year days_in_month hour minute month year'),
  ...of('vv?', 'info'),
  ...of('vtttt', 'label_replace'),
  ...of('vttt*', 'label_join'),
  ...of('vt*', 'sort_by_label sort_by_label_desc'),
  ...of('s', 'vector'),
  ...of('', 'time pi'),
};

function of(signature: string, names: string): Record<string, string> {
  return Object.fromEntries(names.split(' ').map((name) => [name, signature]));
}

function wrongArguments(name: string, types: Type[]): string | undefined {
  const signature = signatures[name] ?? (name.endsWith('_over_time') ? 'r' : 'v');
  const letters = types.map((type) => type[0]).join('');
  const pattern = signature.replace(/\w/g, '[$&u]');
  if (new RegExp(`^${pattern}$`).test(letters)) return undefined;
  const words: Record<string, string> = {
    s: 'a number',
    t: 'a text',
    v: 'an instant vector',
    r: 'a range',
    u: 'a variable',
  };
  const expected = [...signature.replace(/\W/g, '')].map((letter) => words[letter]).join(', ') || 'nothing';
  const got = types.map((type) => words[type[0]!]).join(', ') || 'nothing';
  return `${name}() takes ${expected}, got ${got}`;
}

function wrongOperands(expr: string, node: SyntaxNode): string | undefined {
  const types = operands(node).map((operand) => typeOf(expr, operand));
  if (!types.every(isValue)) return 'an operator joins numbers and instant vectors alone';
  const scalars = types.filter((type) => type === 'scalar').length;
  const operator = children(node)[1]!.name;
  const matching = node.getChild('MatchingModifierClause');
  const comparison = ['Eql', 'Neq', 'Gtr', 'Gte', 'Lss', 'Lte'].includes(operator);
  const setOperator = ['And', 'Or', 'Unless'].includes(operator);
  const bool = node.getChild('BoolModifier')?.getChild('Bool') ?? matching?.getChild('Bool') ?? null;
  if (bool && !comparison) return `'bool' belongs behind a comparison`;
  if (comparison && !bool && scalars === 2) return `two numbers are compared with 'bool' alone`;
  if (setOperator && scalars > 0) return `'${operator.toLowerCase()}' joins instant vectors alone`;
  if (matching && scalars > 0) return `labels are matched between instant vectors alone`;
  if (setOperator && (matching?.getChild('GroupLeft') ?? matching?.getChild('GroupRight'))) {
    return `'${operator.toLowerCase()}' takes no group_left or group_right`;
  }
  return undefined;
}

function isValue(type: Type): boolean {
  return type !== 'text' && type !== 'range';
}

function operands(binary: SyntaxNode): SyntaxNode[] {
  const all = children(binary);
  return [all[0]!, all.at(-1)!];
}

function nameOf(expr: string, call: SyntaxNode): string {
  const name = call.getChild('FunctionIdentifier') ?? call.getChild('AggregateOp');
  return name ? expr.slice(name.from, name.to).toLowerCase() : '';
}

function argumentsOf(call: SyntaxNode): SyntaxNode[] {
  return children(call.getChild('FunctionCallBody'));
}
