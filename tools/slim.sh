#!/usr/bin/env bash
# Writes build/slim.mod, with which the boards' agents are built: go.mod with a copy of
# gorgonia.org/tensor whose Dtype has no methods that look methods up by their names.
#
# tensor.Dtype embeds reflect.Type, and so has its Method and MethodByName. Nothing calls
# them, but where they are linked, the linker must keep every exported method of every
# type, because a name could be any. That is a quarter of the agent. The copy hides both
# behind methods of another form; then Dtype is no reflect.Type any more, and the two
# places that pass it as one name the type inside. Nothing else is changed, and the
# compiler would refuse any use that was overlooked.
set -euo pipefail
cd "$(dirname "$0")/.."
from=$(go list -m -f '{{.Dir}}' gorgonia.org/tensor)
[ -n "$from" ] || { go mod download gorgonia.org/tensor; from=$(go list -m -f '{{.Dir}}' gorgonia.org/tensor); }
mkdir -p build
new=$(mktemp -d build/slim.XXXXXX)
trap 'rm -rf "$new"' EXIT
cp -r "$from" "$new/tensor"
chmod -R u+w "$new/tensor"
find "$new/tensor" -name '*_test.go' -delete
for file in array.go array_getset.go; do
	[ "$(grep -c 'reflect\.Zero(a\.t)' "$new/tensor/$file")" = 1 ] || {
		echo "slim: $from/$file is not as it was: look where a Dtype is passed as a reflect.Type, and change tools/slim.sh" >&2
		exit 1
	}
	sed -i -e 's/reflect\.Zero(a\.t)/reflect.Zero(a.t.Type)/' -e '1i // Changed for fairwatt: reflect.Zero is given the type inside a Dtype.\n' "$new/tensor/$file"
done
cat >"$new/tensor/dtype_methods.go" <<'GO'
// Added for fairwatt.

package tensor

// Method hides that of reflect.Type, which makes the linker keep all methods.
func (Dtype) Method() {}

// MethodByName hides that of reflect.Type, which makes the linker keep all methods.
func (Dtype) MethodByName() {}
GO
{ cat go.mod; printf '\nreplace gorgonia.org/tensor => ./build/slim/tensor\n'; } >"$new/slim.mod"
rm -rf build/slim
mkdir build/slim
mv "$new/tensor" build/slim/tensor
cp go.sum build/slim.sum
mv "$new/slim.mod" build/slim.mod
