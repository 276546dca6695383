package meters

import _ "embed" // the maps below

// Each map is a text of its own: a file system for them all would make the agent
// larger than the maps are.
var (
	//go:embed abb-b23.yaml
	abbB23 string
	//go:embed carlo-gavazzi-em340.yaml
	carloGavazziEM340 string
	//go:embed chint-dtsu666.yaml
	chintDTSU666 string
	//go:embed eastron-sdm120.yaml
	eastronSDM120 string
	//go:embed eastron-sdm630.yaml
	eastronSDM630 string
	//go:embed huawei-sun2000.yaml
	huaweiSUN2000 string
	//go:embed kipp-zonen-smp.yaml
	kippZonenSMP string
	//go:embed schneider-iem3155.yaml
	schneiderIEM3155 string
	//go:embed siemens-pac2200.yaml
	siemensPAC2200 string
)

// Maps returns the text of each map by its name.
func Maps() map[string]string {
	return map[string]string{
		"abb-b23": abbB23, "carlo-gavazzi-em340": carloGavazziEM340, "chint-dtsu666": chintDTSU666,
		"eastron-sdm120": eastronSDM120, "eastron-sdm630": eastronSDM630, "huawei-sun2000": huaweiSUN2000,
		"kipp-zonen-smp": kippZonenSMP, "schneider-iem3155": schneiderIEM3155, "siemens-pac2200": siemensPAC2200,
	}
}
