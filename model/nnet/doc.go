// Package nnet trains and runs the hazard network; it is the only door to
// Gorgonia.
//
// # Using it
//
//	net, err := nnet.Shipped()        // or nnet.Load(bytes of a weight file)
//	scores, err := net.Score(&f)      // f from model.Extractor
//	defer net.Close()
//
// The caller's duties: one goroutine owns a Network (a graph works on its own
// tensors); features come from model.Extractor of the same version (Load
// compares the schema's hash); a score is a warning, never a licence to trade:
// the gate's rules do not need it.
//
// # Design
//
// A weight file holds heads. A head is one small perceptron (inputs and their
// missing flags, tanh layers, one logit) for one task and one set of inputs,
// with its normalisation, calibration and warning threshold. Each head has a
// logistic regression on the same inputs to beat. For each kind the head with the
// most inputs answers, of those whose required inputs are present. Heads share
// no layer: no recording has both tasks' inputs and labels, and a shared layer
// would learn which data set a row is from by what is missing in it.
//
// Training and inference are two graphs (graph.go): every leaf of a Gorgonia
// graph needs a value, and a live station has no label. A tape machine runs the
// training graph. The inference graph is built once per head and reused; its
// operations are done in their order on tensors that it owns.
//
// The plain pass (plain.go) computes the same with loops. It scores whole data
// sets, explains scores by integrated gradients (attribution.go), and scores
// everything in a program built with the tag lite, which has no Gorgonia and
// cannot train. It keeps the members of a head apart, touches no weight or input
// that is 0, and leaves out members that cannot move the probability by 1e-7 any
// more. Tests hold both to the reference (mlp.go) and to each other: to 1e-6 on
// every row of configs/traces, on the boards' architectures too
// (tools/check-arm.sh).
//
// Training is deterministic: own seeded initialisers (Gorgonia's take the clock),
// seeded sampling, and a graph, a generator and a goroutine for each member. The
// members of a head are joined into one block-diagonal network. Its logit is
// their mean, so file, graph and explanation know one network only. Epoch,
// calibration and threshold are chosen on the validation split. Only evaluation
// reads the test split.
//
// A head may stand beside a base (near.go): it adds what neighbours say to the base's
// logit. Without neighbours the base answers, as if the other were not there.
//
// # Refused
//
// Gob or ONNX for weights: a gob in graph-walk order loads into another graph
// and answers nonsense; the format here is text with names, shapes, schema hash,
// checksum and a self-test (format.go). A recurrent or convolutional network:
// 10 to 100 times the cost on a Pi, for hourly labels that do not carry it.
// A linear path parallel to the network and soft targets for the wind head: their
// validation scores were within the spread of seeds (docs/model.md).
// Absolute pressure and wind direction: they name the station. Hour and season by
// the clock: they are the sun's, where a place is known. Neighbours' values, names
// or places one by one: a network trained on few regions learns which one it is in.
// A network for the wind head that hears neighbours: logistic regression validates
// as well and does not depend on its seed.
//
// docs/model.md is the model card: data, splits, results, limits.
package nnet
